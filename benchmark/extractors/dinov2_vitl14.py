"""DINOv2, ViT-L/14 (Oquab et al. 2023), the network of FD-DINOv2 (Stein et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch


class DINOv2ViTL14(Extractor):
    """DINOv2, ViT-L/14 (Oquab et al. 2023), the network of FD-DINOv2 (Stein et al. 2023)."""

    kind: Literal["dinov2-vitl14"] = "dinov2-vitl14"
    label = "FD-DINOv2"
    dimension = 1024
    preprocessing = "dgm-eval: bicubic antialiased 224x224, normalised as for ImageNet"
    weights = Weights(
        file="dinov2_vitl14_pretrain.pth",
        sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        size=1_217_586_395,
        licence="Apache-2.0",
        mirrors=("https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",),
    )

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize uint8 B×3×H×W to 224×224 as Pillow's bicubic does, normalise as for ImageNet."""
        from benchmark.extractors.networks.dinov2 import preprocess_dinov2

        return preprocess_dinov2(images)

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the function from that to the normalised class token, float32 B×1024."""
        from benchmark.extractors.networks.dinov2 import load_dinov2

        return load_dinov2(file, device)
