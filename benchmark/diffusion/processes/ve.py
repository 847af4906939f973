"""The variance-exploding SDE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.sde import SDE


@dataclass(frozen=True, eq=False)
class VE(SDE):
    """The variance-exploding SDE, Song et al. 2021, equations 9 and 30."""

    family = "ve"
    prediction = "score"
    conditioned_on = "sigma"
    sigma_min: float
    sigma_max: float
    t_end: float = 1e-5
    data_range: tuple[float, float] = (0.0, 1.0)

    @property
    def _ratio(self) -> float:
        return self.sigma_max / self.sigma_min

    def alpha(self, t: Any) -> Any:
        """Return ones: the image is kept as it is."""
        return t * 0 + 1.0

    def sigma(self, t: Any) -> Any:
        """Return σ_min (σ_max/σ_min)^t."""
        return self.sigma_min * self._ratio**t

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times, of the shape of `level`, at which σ equals it."""
        return np.asarray(np.log(np.asarray(level) / self.sigma_min) / math.log(self._ratio))

    def drift(self, t: Any) -> Any:
        """Return zeros."""
        return t * 0.0

    def diffusion(self, t: Any) -> Any:
        """Return σ(t) √(2 log σ_max/σ_min)."""
        return self.sigma(t) * math.sqrt(2 * math.log(self._ratio))

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return ones and √(σ_i² - σ_{i+1}²) of N geometric levels, shape (N,) each: equation 8.

        The levels are those of the SMLD chain with as many steps as there are times, which the
        times, ending at `t_end` and not at 0, follow to a relative 1e-4.
        """
        sigma = self.sigma(np.linspace(1.0, 0.0, len(timesteps)))
        return np.ones(len(timesteps)), np.sqrt(sigma**2 - np.append(sigma[1:], 0.0) ** 2)

    def condition(self, t: Any) -> Any:
        """Return σ(t), which NCSN++ embeds."""
        return self.sigma(t)
