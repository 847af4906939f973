"""Samplers: from noise x_T to an image x_0 with a model of the noise.

A sampler is a function `(model, process, x_T, timesteps, noise, callback=None, *, options) -> x_0`:

- model: a `Denoiser`; `model(x, t)` evaluates the network once on x: B×C×H×W at time t;
- process: gives α and σ of the times;
- x_T: B×C×H×W, from `process.prior`;
- timesteps: descending, from `plan`; the clean image comes after the last;
- noise: gives the next standard normal tensor shaped like x_T;
- callback: called with (i, t, x_t, x̂_0) at each step, or None.

x_T, x_t and x_0 are in the range of the process; `process.decode` makes images of them.

To add one, write a file with such a function under `@SAMPLERS.register(name)` and import it here.
"""

from benchmark.diffusion.samplers import (
    ddim,
    ddpm,
    dpm_solver,
    euler_maruyama,
    heun,
    langevin,
    predictor_corrector,
    probability_flow,
)
from benchmark.diffusion.samplers.base import SAMPLERS, Sampler, plan

__all__ = [
    "SAMPLERS",
    "Sampler",
    "ddim",
    "ddpm",
    "dpm_solver",
    "euler_maruyama",
    "heun",
    "langevin",
    "plan",
    "predictor_corrector",
    "probability_flow",
]
