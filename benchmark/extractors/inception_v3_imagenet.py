"""Inception-v3 with torchvision's ImageNet weights. Its distance is no FID."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch


class InceptionV3ImageNet(Extractor):
    """Inception-v3 (Szegedy et al. 2016) with torchvision's weights. Its distance is no FID."""

    kind: Literal["inception-v3-imagenet"] = "inception-v3-imagenet"
    label = "FD-Inception-ImageNet"
    dimension = 2048
    preprocessing = "torchvision: bilinear antialiased to 342, centre 299x299, 2x/255-1"
    weights = Weights(
        file="inception_v3_google-0cc3c7bd.pth",
        sha256="0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
        size=108_949_747,
        licence="BSD-3-Clause",
        mirrors=("https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",),
    )

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize uint8 B×3×H×W to a shorter side of 342, cut the centre 299×299, map to [-1, 1]."""
        from benchmark.extractors.networks.inception_imagenet import preprocess_inception_imagenet

        return preprocess_inception_imagenet(images)

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the function from that to the pooled features, float32 B×2048."""
        from benchmark.extractors.networks.inception_imagenet import load_inception_imagenet

        return load_inception_imagenet(file, device)
