"""The 2015 Inception with the preprocessing of pytorch-fid: bilinear, not antialiased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.extractors.inception_2015 import Inception2015

if TYPE_CHECKING:
    import torch


class InceptionV3FID(Inception2015):
    """The 2015 Inception with the preprocessing of pytorch-fid."""

    kind: Literal["inception-v3-fid"] = "inception-v3-fid"
    label = "FID"
    preprocessing = "pytorch-fid: bilinear 299x299, 2x/255-1"

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Map uint8 B×3×H×W to float32 B×3×299×299 in about [-1, 1]."""
        from benchmark.extractors.networks.inception_v3 import SIDE
        from benchmark.extractors.networks.resizing import bilinear

        return (bilinear(images, SIDE) - 127.5) / 127.5
