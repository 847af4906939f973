"""Heun's method of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler
from benchmark.diffusion.samplers.runge_kutta import FAMILIES, Tableau, solve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise

HEUN = Tableau((1.0,), ((1.0,),), (1 / 2, 1 / 2))  # algorithm 1, lines 5, 7 and 8


class Heun(Sampler):
    """Solves the probability-flow ODE with Heun's method, Karras et al. 2022, algorithm 1.

    In the variables x/α and σ/α every process is a VE one with dx/dσ = ε, equation 4. Each step
    takes two evaluations but for the last, which goes to σ = 0 by Euler's method. Its times lie
    between the levels, of which a network of discrete VE noise knows nothing.
    """

    paper = "[Karras et al. 2022](https://arxiv.org/abs/2206.00364), algorithm 1"
    families = FAMILIES
    usual_spacing = "karras"
    kind: Literal["heun"] = "heun"

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W, by algorithm 1; see `Sampler.sample`. `noise` is never called."""
        return solve(model, process, x_T, timesteps, callback, HEUN)
