"""The process of EDM, whose time is the standard deviation of the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array, exact_chain
from benchmark.diffusion.processes.sde import SDE


@dataclass(frozen=True, eq=False)
class EDM(SDE):
    """x_t = x_0 + t ε with t from σ_min to σ_max, Karras et al. 2022, table 1, last column.

    Args:
        sigma_min: the time of least noise at which samplers evaluate the network.
        sigma_max: the time of most noise, at which they start.
        sigma_data: the standard deviation of pixels in [-1, 1], by which inputs and outputs of the
            network are scaled.
    """

    family = "edm"
    loss = "edm"
    spacings = ("karras",)
    prediction = "edm"
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5

    @property
    def t_max(self) -> float:
        """σ_max."""
        return self.sigma_max

    @property
    def t_min(self) -> float:
        """σ_min."""
        return self.sigma_min

    @property
    def t_learnt(self) -> float:
        """σ_min: training draws noise of any level, but hardly any below it."""
        return self.sigma_min

    def alpha(self, t: Any) -> Any:
        """Return ones: the image is kept as it is."""
        return t * 0 + 1.0

    def sigma(self, t: Any) -> Any:
        """Return t."""
        return t * 1.0

    def time_of(self, level: ArrayLike) -> Array:
        """Return `level`, in its shape: the time is σ."""
        return np.asarray(level, dtype=np.float64)

    def drift(self, t: Any) -> Any:
        """Return zeros."""
        return t * 0.0

    def diffusion(self, t: Any) -> Any:
        """Return √(2t), of which the variance is t²."""
        return (2 * t) ** 0.5

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return the exact transitions between neighbouring times of the grid, shape (N,) each."""
        return exact_chain(self, timesteps)

    def input_scale(self, t: Any) -> Any:
        """Return c_in = 1/√(σ² + σ_data²), table 1: inputs have unit variance."""
        return (t**2 + self.sigma_data**2) ** -0.5

    def condition(self, t: Any) -> Any:
        """Return c_noise = ¼ ln σ, table 1."""
        return (np.log(t) if not hasattr(t, "log") else t.log()) / 4
