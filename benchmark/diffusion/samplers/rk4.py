"""The classical Runge-Kutta method of fourth order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler
from benchmark.diffusion.samplers.runge_kutta import FAMILIES, Tableau, solve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise

RK4 = Tableau(
    nodes=(1 / 2, 1 / 2, 1.0),
    shares=((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)


class RungeKutta4(Sampler):
    """Solves the probability-flow ODE with the classical Runge-Kutta method, in σ/α.

    Kutta 1901, as in Hairer et al. 1993, table 1.2. Each step takes four evaluations, two of them
    half-way between two levels; the last takes one and goes to σ = 0 by Euler's method.
    """

    paper = "[Hairer et al. 1993](https://doi.org/10.1007/978-3-540-78862-1), II.1, table 1.2"
    families = FAMILIES
    usual_spacing = "karras"
    kind: Literal["rk4"] = "rk4"

    @property
    def leaves_its_times(self) -> bool:
        """Tell whether two evaluations of a step are half-way."""
        return True

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W; see `Sampler.sample`. `noise` is never called."""
        return solve(model, process, x_T, timesteps, callback, RK4)
