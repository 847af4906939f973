"""Converts images on disk (uint8, N×H×W×C) to those of networks (float32, B×C×H×W), and back."""

from __future__ import annotations

from torch import Tensor, uint8


def to_model_range(images: Tensor) -> Tensor:
    """Return uint8 images, B×H×W×C in [0, 255], as float32 B×C×H×W in [-1, 1]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def dequantised(x: Tensor, noise: Tensor) -> Tensor:
    """Return images, B×C×H×W in [-1, 1), with uniform noise within each of the 256 levels.

    In [0, 1] this is (255 x + u) / 256: uniform dequantisation (Theis et al. 2016, section 3.1).

    Args:
        x: images in [-1, 1] that were uint8, B×C×H×W.
        noise: u, uniform in [0, 1), of the shape of x.
    """
    return ((x + 1) * 127.5 + noise) / 128 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Return images, B×C×H×W in [-1, 1], as uint8 B×H×W×C: rounded, and clipped to [0, 255]."""
    return ((x + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).to(uint8).contiguous()
