"""Heun's method of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.diffusion.processes.base import Array, Process, levels
from benchmark.diffusion.samplers.base import SAMPLERS, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


# Its steps lie between the levels, of which a network of discrete VE noise knows nothing.
@SAMPLERS.register("heun", families=["vp-discrete", "ve", "vp", "sub-vp"], spacing="karras")
def heun(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """Solve the probability-flow ODE with Heun's method, Karras et al. 2022, algorithm 1.

    In the variables x/α and σ/α every process is a VE one with dx/dσ = ε, equation 4. Two
    evaluations a step but for the last, which goes to σ = 0 by Euler's method. `noise` is never
    called.
    """
    alpha, sigma = levels(process, timesteps)
    level = sigma / alpha
    scale = alpha[1:] / alpha[:-1]
    step = alpha[1:] * (level[1:] - level[:-1])
    times = timesteps.tolist()
    x = x_T
    for i, (t, c_t, c_eps) in enumerate(rows(timesteps, scale, step)):
        estimate = model(x, t)
        if callback:
            callback(i, t, x, estimate.x0)
        euler = blend(c_t, x, c_eps, estimate.eps)
        if i + 1 == len(times):
            return euler
        eps = model(euler, times[i + 1]).eps
        x = blend(c_t, x, c_eps / 2, estimate.eps).add_(eps, alpha=c_eps / 2)
    return x
