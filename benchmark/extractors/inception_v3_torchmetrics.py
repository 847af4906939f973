"""The 2015 Inception with the preprocessing of torchmetrics: bilinear with antialiasing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.extractors.inception_2015 import Inception2015

if TYPE_CHECKING:
    import torch


class InceptionV3Torchmetrics(Inception2015):
    """The 2015 Inception with the preprocessing of torchmetrics since 1.9, as it is by default."""

    kind: Literal["inception-v3-torchmetrics"] = "inception-v3-torchmetrics"
    label = "FID (torchmetrics)"
    preprocessing = "torchmetrics: bilinear antialiased 299x299, (x-128)/128"

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Map uint8 B×3×H×W to float32 B×3×299×299 in about [-1, 1]."""
        from benchmark.extractors.networks.inception_v3 import SIDE
        from benchmark.extractors.networks.resizing import antialiased

        return (antialiased(images, SIDE, "bilinear") - 128) / 128
