"""Heun's method of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.processes.base import Array, Process, levels
from benchmark.diffusion.samplers.base import Sampler, SpacingOption, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class Heun(Sampler):
    """Solves the probability-flow ODE with Heun's method, Karras et al. 2022, algorithm 1.

    In the variables x/α and σ/α every process is a VE one with dx/dσ = ε, equation 4. Each step
    takes two evaluations but for the last, which goes to σ = 0 by Euler's method. Its times lie
    between the levels, of which a network of discrete VE noise knows nothing.
    """

    paper = "[Karras et al. 2022](https://arxiv.org/abs/2206.00364), algorithm 1"
    families = ("vp-discrete", "ve", "vp", "sub-vp")
    kind: Literal["heun"] = "heun"
    spacing: SpacingOption = "karras"

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0 by algorithm 1; see `Sampler.sample`. `noise` is never called."""
        alpha, sigma = levels(process, timesteps)
        level = sigma / alpha
        scale = alpha[1:] / alpha[:-1]
        step = alpha[1:] * (level[1:] - level[:-1])  # t_{i+1} - t_i of the paper, times α
        times = timesteps.tolist()
        x = x_T
        for i, (t, scale_t, step_t) in enumerate(rows(timesteps, scale, step)):
            estimate = model(x, t)  # d_i is ε̂, line 4
            if callback:
                callback(i, t, x, estimate.x0)
            euler = blend(scale_t, x, step_t, estimate.eps)  # line 5
            if i + 1 == len(times):
                return euler
            eps = model(euler, times[i + 1]).eps  # line 7
            x = blend(scale_t, x, step_t / 2, estimate.eps).add_(eps, alpha=step_t / 2)  # line 8
        return x
