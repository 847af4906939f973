"""DINOv2 with the preprocessing of dgm-eval, as in Stein et al. 2023: Pillow's bicubic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.extractors.dinov2 import DINOv2

if TYPE_CHECKING:
    import torch


class DINOv2ViTL14(DINOv2):
    """DINOv2, ViT-L/14 (Oquab et al. 2023), the network of FD-DINOv2 (Stein et al. 2023)."""

    kind: Literal["dinov2-vitl14"] = "dinov2-vitl14"
    label = "FD-DINOv2"
    preprocessing = "dgm-eval: bicubic antialiased 224x224, normalised as for ImageNet"

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize uint8 B×3×H×W to 224×224 as Pillow's bicubic does, normalise as for ImageNet."""
        from benchmark.extractors.networks.dinov2 import preprocess_dinov2

        return preprocess_dinov2(images)
