"""The sub-VP SDE, whose variance is bounded by that of the VP SDE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.vp import VP


@dataclass(frozen=True, eq=False)
class SubVP(VP):
    """The sub-VP SDE, Song et al. 2021, equations 12 and 29."""

    family = "sub-vp"

    def sigma(self, t: Any) -> Any:
        """Return 1 - exp(-∫β)."""
        return 1 - math.exp(-1) ** self._integral(t)

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times, of the shape of `level`, at which σ/α = 2 sinh(½ ∫β) equals it."""
        return self._time_of_integral(2 * np.arcsinh(np.asarray(level) / 2))

    def diffusion(self, t: Any) -> Any:
        """Return √(β(t) (1 - exp(-2 ∫β)))."""
        return (self.beta(t) * (1 - math.exp(-2) ** self._integral(t))) ** 0.5

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return 1 - ½ β(t)/N and g(t)/√N: Euler's discretisation, as in the authors' code."""
        N = len(timesteps)
        return 1 + self.drift(timesteps) / N, self.diffusion(timesteps) / math.sqrt(N)
