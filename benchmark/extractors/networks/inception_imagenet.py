"""Inception-v3 with torchvision's ImageNet weights (`Inception_V3_Weights.IMAGENET1K_V1`)."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchvision.transforms.functional import center_crop

from benchmark.extractors.networks.folding import read_state_dict
from benchmark.extractors.networks.inception_v3 import SIDE, InceptionV3
from benchmark.extractors.networks.resizing import pillow

RESIZED = 342  # the shorter side of the image from which the centre is cut


def load_inception_imagenet(file: Path, device: torch.device) -> InceptionV3:
    """Return the network from B×3×299×299 to the pooled features, float32 B×2048."""
    return InceptionV3(read_state_dict(file, device), pool=_average, last_pool=_average)


def preprocess_inception_imagenet(images: Tensor) -> Tensor:
    """Resize the shorter side to 342, cut the centre 299×299 and map to [-1, 1].

    torchvision normalises by the mean and the deviation of ImageNet, and its network maps the
    result back to [-1, 1]. Both steps are left out here, since they cancel.
    """
    height, width = images.shape[2:]
    shorter = min(height, width)
    size = (RESIZED * height // shorter, RESIZED * width // shorter)
    resized = pillow(images, *size, Image.Resampling.BILINEAR)
    cut: Tensor = center_crop(resized, [SIDE, SIDE])
    return cut.float().contiguous(memory_format=torch.channels_last) / 127.5 - 1


def _average(x: Tensor) -> Tensor:
    return avg_pool2d(x, 3, 1, 1)
