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
    times can be evaluated at any noise level. Before a last time of SNR 0, whose logarithm is
    infinite, α/σ is.

    Args:
        alpha_bar: ᾱ_t for t = 0 … T-1, falling, within (0, 1); the last may be 0.
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
        """Return log σ/α of the times at which it is finite."""
        alpha_bar = self.alpha_bar[: -1 if self._ends_in_noise else None]
        return 0.5 * (np.log1p(-alpha_bar) - np.log(alpha_bar))

    @cached_property
    def _ends_in_noise(self) -> bool:
        return bool(self.alpha_bar[-1] == 0)

    def _level(self, t: ArrayLike) -> Array:
        """Return σ/α, shaped like t."""
        t = np.asarray(t)
        level = np.asarray(np.exp(np.interp(t, np.arange(len(self._log_level)), self._log_level)))
        if not self._ends_in_noise:
            return level
        with np.errstate(divide="ignore"):
            return np.asarray(level / np.clip(self.t_max - t, 0.0, 1.0))

    def alpha(self, t: ArrayLike) -> Array:
        """Return √ᾱ_t, of the shape of t."""
        return np.asarray((1 + self._level(t) ** 2) ** -0.5)

    def sigma(self, t: ArrayLike) -> Array:
        """Return √(1 - ᾱ_t), of the shape of t."""
        return np.asarray((1 + self._level(t) ** -2) ** -0.5)

    def time_of(self, level: ArrayLike) -> Array:
        """Return the fractional times, of the shape of `level`, at which σ/α equals it."""
        log_level, known = np.log(np.asarray(level)), self._log_level
        times = np.asarray(np.interp(log_level, known, np.arange(len(known))))
        if not self._ends_in_noise:
            return times
        return np.asarray(times + np.maximum(-np.expm1(known[-1] - log_level), 0.0))

    def prior(self, noise: Tensor) -> Tensor:
        """Return the noise, B×C×H×W, unchanged: the chain ends at N(0, I)."""
        return noise
