"""Noise of which an image is made at once, as a GAN's generator makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array, Process, exact_chain

if TYPE_CHECKING:
    from torch import Tensor


class Latent(Process):
    """x_T = ε at the only time: α = 0 and σ = 1, so that nothing of the image is left.

    There is no path between noise and image on which a network could be asked: a generator makes
    the image x_0 of the noise, its latent variable z (Goodfellow et al. 2014, section 3).
    """

    family = "latent"
    loss = "adversarial"
    spacings = ("trailing",)
    prediction = "x0"
    has_path = False

    @property
    def length(self) -> int:
        """The number of its times, 1."""
        return 1

    @property
    def t_max(self) -> float:
        """The only time."""
        return 0.0

    @property
    def t_min(self) -> float:
        """The only time."""
        return 0.0

    def alpha(self, t: Any) -> Any:
        """Return 0."""
        return t * 0.0

    def sigma(self, t: Any) -> Any:
        """Return 1."""
        return t * 0.0 + 1.0

    def time_of(self, level: ArrayLike) -> Array:
        """Return the only time for each level of noise, of the shape of `level`."""
        return np.zeros_like(np.asarray(level, np.float64))

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return that each state is noise alone: a = 0 and g = 1, shape (N,) each."""
        return exact_chain(self, timesteps)

    def prior(self, noise: Tensor) -> Tensor:
        """Return the noise, B×C×H×W, unchanged."""
        return noise
