"""The noise levels of an NCSN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.discrete import Discrete

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class DiscreteVE(Discrete):
    """Noise levels of an NCSN, Song and Ermon 2019, section 4.1: x_t = x_0 + σ_t ε.

    Args:
        sigmas: σ_t for t = 0 … L-1, rising.
    """

    family = "ve-discrete"
    loss = "denoising-score-matching"
    spacings = ("linspace", "repeat")
    prediction = "score"
    conditioned_on = "level"
    sigmas: Array
    data_range: tuple[float, float] = (0.0, 1.0)

    @property
    def length(self) -> int:
        """The number of levels, L."""
        return len(self.sigmas)

    def alpha(self, t: ArrayLike) -> Array:
        """Return ones of the shape of t: the image is not scaled."""
        return np.ones(np.shape(t))

    def sigma(self, t: ArrayLike) -> Array:
        """Return σ_t of integer times, of the shape of t."""
        return np.asarray(self.sigmas[np.asarray(t, dtype=np.int64)])

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times of the nearest noise levels, of the shape of `level`."""
        distance = np.abs(np.log(self.sigmas) - np.log(np.asarray(level))[..., None])
        return np.asarray(distance.argmin(axis=-1), dtype=np.float64)

    def condition(self, t: Any) -> Any:
        """Return the level's index as NCSN counts: from 0 for the largest noise."""
        return self.length - 1 - (int(t) if isinstance(t, float) else t)

    def prior(self, noise: Tensor) -> Tensor:
        """Return the largest noise, B×C×H×W, around the middle of the data range."""
        low, high = self.data_range
        return (low + high) / 2 + float(self.sigmas[-1]) * noise
