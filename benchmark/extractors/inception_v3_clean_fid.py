"""The 2015 Inception with the preprocessing of clean-fid: bicubic and antialiased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.extractors.inception_2015 import Inception2015

if TYPE_CHECKING:
    import torch


class InceptionV3CleanFID(Inception2015):
    """The 2015 Inception with the preprocessing of clean-fid."""

    kind: Literal["inception-v3-clean-fid"] = "inception-v3-clean-fid"
    label = "FID (clean-fid)"
    preprocessing = "clean-fid: bicubic antialiased 299x299 without rounding, (x-128)/128"

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Map uint8 B×3×H×W to float32 B×3×299×299 in about [-1, 1]."""
        from benchmark.extractors.networks.inception_v3 import SIDE
        from benchmark.extractors.networks.resizing import bicubic

        return (bicubic(images, SIDE) - 128) / 128
