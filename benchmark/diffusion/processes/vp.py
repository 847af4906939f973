"""The variance-preserving SDE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.sde import SDE

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class VP(SDE):
    """The variance-preserving SDE, Song et al. 2021, equations 11 and 32, β(t) linear."""

    family = "vp"
    beta_min: float
    beta_max: float
    t_end: float = 1e-3

    def beta(self, t: Any) -> Any:
        """Return β(t)."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def _integral(self, t: Any) -> Any:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def _time_of_integral(self, integral: Array) -> Array:
        rise = self.beta_max - self.beta_min
        root = np.sqrt(self.beta_min**2 + 2 * rise * integral)
        return np.asarray(2 * integral / (self.beta_min + root))

    def alpha(self, t: Any) -> Any:
        """Return exp(-½ ∫β)."""
        return math.exp(-0.5) ** self._integral(t)

    def sigma(self, t: Any) -> Any:
        """Return √(1 - exp(-∫β))."""
        return (1 - math.exp(-1) ** self._integral(t)) ** 0.5

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times, of the shape of `level`, at which σ/α equals it."""
        return self._time_of_integral(np.log1p(np.square(level)))

    def drift(self, t: Any) -> Any:
        """Return -½ β(t)."""
        return -0.5 * self.beta(t)

    def diffusion(self, t: Any) -> Any:
        """Return √β(t)."""
        return self.beta(t) ** 0.5

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return √(1-β_i) and √β_i with β_i = β(t)/N on N even times, equation 10 and appendix C.

        With fewer steps than β_max, β_i is confined to 0.999, as in the cosine schedule.
        """
        N = len(timesteps)
        beta = np.minimum(self.beta(np.linspace(1.0, 0.0, N)) / N, 0.999)
        return np.sqrt(1 - beta), np.sqrt(beta)

    def condition(self, t: Any) -> Any:
        """Return 999 t, as the networks of a VP SDE embed times on the scale of 1000 steps."""
        return 999.0 * t

    def prior(self, noise: Tensor) -> Tensor:
        """Return the noise, B×C×H×W, unchanged: the SDE ends at N(0, I)."""
        return noise
