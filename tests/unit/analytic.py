"""Data whose scores are known in closed form, and what samplers must make of them.

Samplers see x: B×D in double precision; every one of the D axes is a problem by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate, estimate_from
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.processes.discrete_ve import DiscreteVE
from benchmark.diffusion.processes.edm import EDM
from benchmark.diffusion.processes.flow import Flow
from benchmark.diffusion.processes.sub_vp import SubVP
from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.processes.vp import VP
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.cosine import Cosine
from benchmark.diffusion.schedules.linear import Linear

MEAN = torch.tensor([-0.4, 0.0, 0.7], dtype=torch.float64)
VARIANCE = torch.tensor([0.05, 0.3, 1.0], dtype=torch.float64)

# A mixture of two Gaussians, the same for every axis.
WEIGHTS = torch.tensor([0.3, 0.7], dtype=torch.float64)
MEANS = torch.tensor([-0.8, 0.6], dtype=torch.float64)
STD = 0.15

PROCESSES: dict[str, Process] = {
    "linear": Linear().process(),
    "cosine": Cosine().process(),
    "levels": DiscreteVE(np.geomspace(0.01, 10, 300)),
    "ve": VE(0.01, 10.0),
    "vp": VP(0.1, 20.0),
    "sub-vp": SubVP(0.1, 20.0),
    "edm": EDM(0.002, 10.0),
    "flow": Flow(),
}

# Schedules and samplers with states between noise and image, of which a generator has none.
PATHS = [name for name in SCHEDULES.names() if SCHEDULES.make(name).process().has_path]
ON_PATHS = [
    name
    for name, part in SAMPLERS.classes.items()
    if any(part.is_defined_for(SCHEDULES.make(path).process()) for path in PATHS)
]

torch.set_num_threads(1)  # the tensors are small

Model = Callable[[Tensor, float], Estimate]
Noise = Callable[[], Tensor]


def defined_on(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of a sampler and the key of a process for which it is defined."""
    return [
        (name, key)
        for name in names
        for key, process in PROCESSES.items()
        if SAMPLERS.get(name).is_defined_for(process)
    ]


def scales(process: Process, t: float) -> tuple[float, float]:
    return float(process.alpha(t)), float(process.sigma(t))


def gaussian(process: Process, mean: Tensor = MEAN, variance: Tensor = VARIANCE) -> Model:
    """Return the exact model of N(mean, diag variance): its ε is σ (α² c + σ²)^-1 (x - α m)."""

    def model(x: Tensor, t: float) -> Estimate:
        alpha, sigma = scales(process, t)
        gain = (x - alpha * mean) / (alpha**2 * variance + sigma**2)
        velocity = sigma * gain - (mean + alpha * variance * gain)
        return estimate_from("velocity", velocity, x, alpha, sigma)

    return model


def mixture(process: Process, weights: Tensor, means: Tensor, std: float) -> Model:
    """Return the exact model of Σ w_k N(m_k, std²), the same for every axis."""

    def model(x: Tensor, t: float) -> Estimate:
        alpha, sigma = scales(process, t)
        variance = alpha**2 * std**2 + sigma**2
        offsets = x[..., None] - alpha * means  # (B, D, K)
        share = torch.softmax(weights.log() - offsets**2 / (2 * variance), -1)
        gain = offsets / variance
        eps = sigma * (share * gain).sum(-1)
        x0 = (share * (means + alpha * std**2 * gain)).sum(-1)
        return estimate_from("velocity", eps - x0, x, alpha, sigma)

    return model


def at_start(process: Process, t: float) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the Gaussian data at time t."""
    alpha, sigma = scales(process, t)
    return alpha * MEAN, (alpha**2 * VARIANCE + sigma**2).sqrt()


def flow(process: Process, x_T: Tensor, timesteps: Array) -> Tensor:
    """Solve the probability-flow ODE of the Gaussian data in closed form, and denoise its end."""
    mean, std = at_start(process, timesteps[0])
    mean_end, std_end = at_start(process, timesteps[-1])
    x = mean_end + std_end / std * (x_T - mean)
    return gaussian(process)(x, timesteps[-1]).x0


def quantiles(process: Process, t: float, count: int) -> Tensor:
    """Return evenly spaced quantiles of the mixture at time t, from its distribution on a grid.

    The probability-flow ODE keeps the order of values, so that it leads from quantile to quantile.
    """
    alpha, sigma = scales(process, t)
    std = math.sqrt((alpha * STD) ** 2 + sigma**2)
    grid = torch.linspace(-8 * std - 1, 8 * std + 1, 200_001, dtype=torch.float64)
    below = (WEIGHTS * torch.special.ndtr((grid[:, None] - alpha * MEANS) / std)).sum(1)
    shares = (np.arange(count) + 0.5) / count
    return torch.from_numpy(np.interp(shares, below.numpy(), grid.numpy()))


def moments(
    name: str,
    process: Process,
    timesteps: Array,
    draws: int,
    model: Model | None = None,
    **options: object,
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a sampler's output for the Gaussian data, without sampling.

    With an exact Gaussian score all that these samplers do is affine in x_T and the noise. The
    first row gets the mean and no noise, every other one a unit of one source of randomness: x_T,
    or one draw. The variance is the sum of the squares of what they change.
    """
    mean, std = at_start(process, timesteps[0])
    x_T = mean.repeat(draws + 2, 1)
    x_T[1] += std
    rows = iter(range(2, draws + 2))

    def noise() -> Tensor:
        z = torch.zeros_like(x_T)
        z[next(rows)] = 1
        return z

    model = model or gaussian(process)
    x_0 = SAMPLERS.make(name, **options).sample(model, process, x_T, timesteps, noise)
    return x_0[0], (x_0[1:] - x_0[0]).square().sum(0)


def no_noise() -> Tensor:
    raise AssertionError("a deterministic sampler asked for noise")


def order(steps: list[int], errors: list[float]) -> float:
    """Return the slope at which errors fall, by regression of log error on log steps."""
    return float(-np.polyfit(np.log(steps), np.log(errors), 1)[0])
