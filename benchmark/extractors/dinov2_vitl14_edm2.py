"""DINOv2 with the preprocessing of edm2: torch's bicubic, in float and not cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.extractors.dinov2 import DINOv2

if TYPE_CHECKING:
    import torch


class DINOv2ViTL14EDM2(DINOv2):
    """DINOv2, ViT-L/14, with images as edm2 gives them to it (Karras et al. 2024)."""

    kind: Literal["dinov2-vitl14-edm2"] = "dinov2-vitl14-edm2"
    label = "FD-DINOv2 (edm2)"
    preprocessing = "edm2: bicubic antialiased 224x224 in float, normalised as for ImageNet"

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize uint8 B×3×H×W to 224×224 by torch's bicubic, normalise as for ImageNet."""
        from benchmark.extractors.networks.dinov2 import preprocess_edm2

        return preprocess_edm2(images)
