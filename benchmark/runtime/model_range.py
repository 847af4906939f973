"""Between images on disk (uint8, N×H×W×3) and in networks (float32, B×3×H×W in [-1, 1])."""

from __future__ import annotations

from torch import Tensor, uint8


def to_model_range(images: Tensor) -> Tensor:
    """Map uint8 B×H×W×3 in [0, 255] to float32 B×3×H×W in [-1, 1]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def dequantised(x: Tensor, noise: Tensor) -> Tensor:
    """Spread each of the 256 grey levels over its interval, as (255 x + u) / 256 does in [0, 1].

    Args:
        x: images in [-1, 1] that come from uint8.
        noise: u, uniform in [0, 1), shaped like x.
    """
    return ((x + 1) * 127.5 + noise) / 128 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Map B×3×H×W in [-1, 1] to uint8 B×H×W×3, rounded; what is outside is clipped."""
    return ((x + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).to(uint8).contiguous()
