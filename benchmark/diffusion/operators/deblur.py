"""Deblurring: a blurred image is given, with noise."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from benchmark.core.strict_model import Positive
from benchmark.diffusion.operators.base import Operator

if TYPE_CHECKING:
    from torch import Tensor

LEAST_GAIN = 1e-6  # frequencies that the blur weakens more than this are lost to `pseudo_inverse`


class Deblur(Operator):
    """Gives the image convolved with a Gaussian whose circular borders join opposite sides.

    A is symmetric, and diagonal in the Fourier transform, where its gain is k(ω) > 0. It can be
    inverted, so without noise nothing would be asked.
    """

    kind: Literal["deblur"] = "deblur"
    noise: Positive = Field(
        default=0.05,
        description="σ_y: standard deviation of the noise on what is given, of pixels in [-1, 1]",
    )
    width: Positive = Field(
        default=1.5, description="Standard deviation of the Gaussian, in pixels"
    )

    def forward(self, x: Tensor) -> Tensor:
        """Return the blurred images, B×C×H×W."""
        return _filtered(x, self._gain(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A y, B×C×H×W: A is symmetric."""
        return self.forward(y)

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """Return A⁺ y, B×C×H×W, without the frequencies that the blur has removed."""
        gain = self._gain(y)
        return _filtered(y, (1 / gain).where(gain > LEAST_GAIN, 0.0))

    def solve(self, y: Tensor, image: float, noise: float) -> Tensor:
        """Return (r² A Aᵀ + σ² I)⁻¹ y, B×C×H×W, by its frequencies; see `Operator.solve`."""
        return _filtered(y, 1 / (image * self._gain(y) ** 2 + noise))

    def noise_from(self, z: Tensor) -> Tensor:
        """Return z: what is given has the shape of images."""
        return z

    def shown(self, y: Tensor) -> Tensor:
        """Return y, the blurred image, B×C×H×W, whose noise A⁺ would amplify."""
        return y

    def _gain(self, x: Tensor) -> Tensor:
        return _gain(self.width, x.shape[-2], x.shape[-1], x.device, x.dtype)

    def check(self, resolution: int, channels: int) -> None:
        """Refuse a Gaussian that is wider than the images."""
        if self.width > resolution:
            raise ValueError(
                f"width: a Gaussian of {self.width} pixels leaves nothing of {resolution} pixels: "
                f"at most {resolution}"
            )


def _filtered(x: Tensor, gain: Tensor) -> Tensor:
    """Multiply the frequencies of images, B×C×H×W, by the gain, H×(W//2 + 1)."""
    from torch import fft

    filtered: Tensor = fft.irfft2(fft.rfft2(x) * gain, s=x.shape[-2:])
    return filtered


@lru_cache(maxsize=16)
def _gain(width: float, rows: int, columns: int, device: Any, dtype: Any) -> Tensor:
    """Return the gain k(ω), H×(W//2 + 1): the transform of the Gaussian, of sum 1."""
    import torch

    down, across = (_gain_of_axis(width, size) for size in (rows, columns))
    return torch.from_numpy(np.outer(down, across[: columns // 2 + 1])).to(device, dtype)


def _gain_of_axis(width: float, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the transform of the Gaussian on a circle of `size` pixels, (size)."""
    turns = np.arange(-4, 5)[:, None] * size  # further ones add nothing, as width ≤ size
    kernel = np.exp(-0.5 * ((np.arange(size) + turns) / width) ** 2).sum(axis=0)
    return np.asarray(np.fft.fft(kernel / kernel.sum()).real)
