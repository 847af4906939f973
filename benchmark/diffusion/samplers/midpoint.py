"""The midpoint method of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler
from benchmark.diffusion.samplers.runge_kutta import FAMILIES, Tableau, solve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise

# x' = x + h d(x + h/2 d): the slope at the step's beginning counts for the way to its middle alone.
MIDPOINT = Tableau((1 / 2,), ((1 / 2,),), (0.0, 1.0))


class Midpoint(Sampler):
    """Solves the probability-flow ODE by the slope in the middle of each step.

    Karras et al. 2022, algorithm 3 with α = ½ and without noise, in σ/α. Each step takes two
    evaluations, the second half-way between two levels; the last takes one and goes to σ = 0 by
    Euler's method.
    """

    paper = "[Karras et al. 2022](https://arxiv.org/abs/2206.00364), algorithm 3, α = ½"
    families = FAMILIES
    usual_spacing = "karras"
    kind: Literal["midpoint"] = "midpoint"

    @property
    def leaves_its_times(self) -> bool:
        """Tell whether the second evaluation of a step is half-way."""
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
        return solve(model, process, x_T, timesteps, callback, MIDPOINT)
