"""Denoising: the whole image is given, with noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.core.strict_model import Positive
from benchmark.diffusion.operators.base import Operator

if TYPE_CHECKING:
    from torch import Tensor


class Denoise(Operator):
    """Gives the image itself: A is the identity, and the noise makes the question."""

    kind: Literal["denoise"] = "denoise"
    noise: Positive = Field(
        default=0.5,
        description="σ_y: standard deviation of the noise on what is given, of pixels in [-1, 1]",
    )

    def forward(self, x: Tensor) -> Tensor:
        """Return the images, B×C×H×W."""
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return y, B×C×H×W."""
        return y
