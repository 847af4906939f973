"""DINOv2, ViT-L/14 (Oquab et al. 2023), with two kinds of preprocessing.

Stein et al. (2023) propose the Fréchet distance of its features, FD-DINOv2. Two programs resize
images for it differently, and each way is a subclass of `DINOv2`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch


class DINOv2(Extractor):
    """What the two subclasses share: the network and its weights."""

    dimension = 1024
    weights = Weights(
        file="dinov2_vitl14_pretrain.pth",
        sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        size=1_217_586_395,
        licence="Apache-2.0",
        mirrors=("https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",),
    )

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what maps B×3×224×224 to the normalised class token, float32 B×1024."""
        from benchmark.extractors.networks.dinov2 import load_dinov2

        return load_dinov2(file, device)
