"""Between images on disk (uint8, N×H×W×3) and in networks (float32, B×3×H×W in [-1, 1])."""

from __future__ import annotations

from torch import Tensor, uint8


def to_model_range(images: Tensor) -> Tensor:
    """Map uint8 B×H×W×3 in [0, 255] to float32 B×3×H×W in [-1, 1]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Map B×3×H×W in [-1, 1] to uint8 B×H×W×3, rounded; what is outside is clipped."""
    return ((x + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).to(uint8).contiguous()
