"""The straight path of flow matching and rectified flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from benchmark.diffusion.processes.base import Array, exact_chain
from benchmark.diffusion.processes.sde import SDE

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Flow(SDE):
    """x_t = (1 - t) x_0 + t ε, Liu et al. 2023 (Rectified Flow) and Lipman et al. 2023.

    Its velocity is dx_t/dt = ε - x_0. Given x_0 it also solves dx = -x_0 dt + √(2t) dw, which has
    the mean (1 - t) x_0 and the variance t². At t = 1 nothing of the image is left.

    Args:
        t_end: the time at which samplers end that do not go to the clean image by themselves.
        shift: s of t = s u/(1 + (s - 1) u), by which even times u are moved towards the noise,
            Esser et al. 2024, equation 23; 1 leaves them even.
    """

    family = "flow"
    loss = "flow-matching"
    spacings = ("trailing", "linspace")
    prediction = "velocity"
    t_end: float = 1e-3
    shift: float = 1.0

    def alpha(self, t: Any) -> Any:
        """Return 1 - t."""
        return 1 - t

    def sigma(self, t: Any) -> Any:
        """Return t."""
        return t * 1.0

    def time_of(self, level: ArrayLike) -> Array:
        """Return the times, of the shape of `level` (∞ allowed), at which t/(1 - t) equals it."""
        level = np.asarray(level, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return 1 / (1 + 1 / level)

    def spread(self, u: Array) -> Array:
        """Return even times u, of shape (N,), moved towards the noise by `shift`; the ends stay."""
        return u / (u + (1 - u) / self.shift)  # so written, 1 stays 1 exactly

    def drift(self, t: Any) -> Any:
        """Return zeros: the drift is -x_0 alone, see `pull`."""
        return t * 0.0

    def pull(self, t: Any) -> Any:
        """Return -1."""
        return t * 0.0 - 1.0

    def diffusion(self, t: Any) -> Any:
        """Return √(2t)."""
        return (2 * t) ** 0.5

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        """Return the exact transitions between neighbouring times of the grid, shape (N,) each."""
        return exact_chain(self, timesteps)

    def condition(self, t: Any) -> Any:
        """Return 1000 t, as networks embed times on the scale of 1000 steps."""
        return 1000.0 * t

    def prior(self, noise: Tensor) -> Tensor:
        """Return the noise, B×C×H×W, unchanged: the path ends at N(0, I)."""
        return noise
