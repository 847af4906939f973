"""The variance-preserving Markov chain of DDPM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.discrete import Discrete

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class DiscreteVP(Discrete):
    """The variance-preserving Markov chain of Ho et al. 2020, equations 2 and 4.

    Between the T times, log SNR is interpolated linearly, so that a network that takes fractional
    times can be evaluated at any noise level.

    Args:
        alpha_bar: ᾱ_t for t = 0 … T-1, falling, within (0, 1).
    """

    family = "vp-discrete"
    loss = "simple"
    spacings = ("leading", "linspace", "trailing", "karras")
    clips = True
    alpha_bar: Array

    @property
    def length(self) -> int:
        """The number of times, T."""
        return len(self.alpha_bar)

    @cached_property
    def _log_level(self) -> Array:
        return 0.5 * (np.log1p(-self.alpha_bar) - np.log(self.alpha_bar))

    def _level(self, t: ArrayLike) -> Array:
        return np.asarray(np.exp(np.interp(np.asarray(t), np.arange(self.length), self._log_level)))

    def alpha(self, t: ArrayLike) -> Array:
        """Return √ᾱ_t."""
        return np.asarray((1 + self._level(t) ** 2) ** -0.5)

    def sigma(self, t: ArrayLike) -> Array:
        """Return √(1 - ᾱ_t)."""
        return np.asarray((1 + self._level(t) ** -2) ** -0.5)

    def time_of(self, level: ArrayLike) -> Array:
        """Return the fractional times at which σ/α equals `level`."""
        return np.asarray(
            np.interp(np.log(np.asarray(level)), self._log_level, np.arange(self.length))
        )

    def prior(self, noise: Tensor) -> Tensor:
        """Return the noise as it is: the chain ends at N(0, I)."""
        return noise
