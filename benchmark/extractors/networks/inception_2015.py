"""The 2015 Inception of the Fréchet Inception Distance.

It differs from later Inceptions in two ways: average pooling does not count the padding, and the
last block uses maximum pooling.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from benchmark.extractors.networks.folding import read_state_dict
from benchmark.extractors.networks.inception_v3 import SIDE, InceptionV3
from benchmark.extractors.networks.resizing import bilinear_tf1


def load_inception_2015(file: Path, device: torch.device) -> InceptionV3:
    """Return the network from B×3×299×299 to the pool3 features, float32 B×2048."""
    return InceptionV3(read_state_dict(file, device), pool=_average, last_pool=_maximum)


def preprocess_tensorflow(images: Tensor) -> Tensor:
    """Resize uint8 B×3×H×W as TensorFlow 1 does, to float32 B×3×299×299 in about [-1, 1]."""
    return (bilinear_tf1(images, SIDE) - 128) / 128


def classifier(file: Path) -> NDArray[np.float32]:
    """Return the matrix, 2048×1008, that maps features to logits.

    The bias is left out, as in the code of Salimans et al. (2016) and in torch-fidelity.
    """
    weight: NDArray[np.float32] = read_state_dict(file, torch.device("cpu"))["fc.weight"].numpy()
    return weight.T


def _average(x: Tensor) -> Tensor:
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _maximum(x: Tensor) -> Tensor:
    return max_pool2d(x, 3, 1, 1)
