"""The likelihood of images under a network, in bits per dimension: per pixel and channel.

By the probability-flow ODE: Song et al. 2021 (Score-Based Generative Modeling through SDEs),
section 4.3 and appendix D.2. Of a chain in discrete time there is the variational bound, too: Ho et
al. 2020, equation 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.diffusion.ode import ODE, Point
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.variational import bound

if TYPE_CHECKING:
    from benchmark.diffusion.denoiser import Estimate
    from benchmark.diffusion.samplers.base import Model

Variance = Literal["fixed_small", "fixed_large", "learned_range"]  # as those of the sampler ddpm

GREY_LEVELS = 256  # of a pixel of an image file


class Density(NamedTuple):
    """The density of a batch of images.

    Attributes:
        log: the log density of each image, in nats, B, in float64.
        evaluations: of the network for each image; a backward pass counts as none.
    """

    log: Array
    evaluations: int


def log_density(
    model: Model,
    process: Process,
    x_0: Tensor,
    probes: Sequence[Tensor] | None,
    tolerance: float = 1e-5,
) -> Density:
    """Return the density of images under the probability-flow ODE of a network.

    The images are followed from the least noise that networks are trained for, which counts as
    none, to the most, where the state has the density of the prior. On the way log p changes by the
    divergence of the slope: Song et al. 2021, equation 39. As in the authors' code scipy's RK45
    solves all images of the batch together; the log densities are in its state per dimension.

    Args:
        model: evaluates the network once on x: B×C×H×W at time t, so that gradients reach x.
        process: of one of `FAMILIES` of `ode.py`, so that a density follows.
        x_0: images, B×C×H×W in the process's range.
        probes: ε of Hutchinson's estimate, the mean of εᵀ J ε, of zero mean and unit covariance and
            shaped like x_0, at least one: equation 40; None: the exact trace, with as many backward
            passes as an image has dimensions.
        tolerance: absolute and relative tolerance of the solver.
    """
    from scipy.integrate import solve_ivp

    ode = ODE(process)
    start, end = _ends(process)
    count, each = len(x_0), x_0[0].numel()

    def slope(u: float, state: Array) -> Array:
        y = x_0.new_tensor(state[:-count]).reshape(x_0.shape)
        change, divergence = _slope(model, ode, ode.points_at(np.array([u]))[0], y, probes)
        return np.concatenate([_flat(change), _flat(divergence) / each])

    clean = 1 - process.ode_mix * start  # α/(α + cσ): y of an image with no noise, over the image
    state = np.concatenate([clean * _flat(x_0), np.zeros(count)])
    solved = solve_ivp(slope, (start, end), state, rtol=tolerance, atol=tolerance)
    last = ode.points_at(np.array([end]))[0]
    x_T = x_0.new_tensor(solved.y[:-count, -1]).reshape(x_0.shape) * last.scale
    gained = each * (solved.y[-count:, -1] + math.log(last.scale) + math.log(clean))
    return Density(_log_prior(process, x_T) + gained, int(solved.nfev))


def bits_per_dimension(process: Process, log: Array, dimensions: int) -> Array:
    """Return the bits per dimension of images with 256 grey levels, shaped like `log`.

    Args:
        process: gives the range of pixels, of which each grey level has a 256th.
        log: log densities of images in that range, in nats.
        dimensions: of an image: pixels times channels.
    """
    low, high = process.data_range
    return np.asarray(-log / (dimensions * math.log(2)) + math.log2(GREY_LEVELS / (high - low)))


def variational_bounds(
    model: Model, process: Process, x_0: Tensor, noise: Callable[[], Tensor]
) -> dict[Variance, Array]:
    """Return variational bounds of each image in bits per dimension, B, in float64.

    It is L_T + Σ L_{t-1} + L_0 over all T times, of which each is estimated from one draw of x_t:
    Ho et al. 2020, equations 5, 7 and 13.

    Args:
        model: evaluates the network on x_t: B×C×H×W at time t.
        process: a VP chain in discrete time.
        x_0: images of 256 grey levels in [-1, 1], B×C×H×W, without noise.
        noise: gives the next standard normal tensor shaped like x_0.

    Returns:
        The bounds by the variance of a step: that of the network where it predicts one, otherwise
        both that of the posterior and that of the forward step.
    """
    last = int(process.t_max)
    alpha, variance = float(process.alpha(last)), float(process.sigma(last)) ** 2
    ahead = 0.5 * (variance + alpha**2 * x_0.double().square() - 1 - math.log(variance))
    found: dict[Variance, Tensor] = {}
    for t in range(last + 1):
        x_t = float(process.alpha(t)) * x_0 + float(process.sigma(t)) * noise()
        estimate = model(x_t, float(t))
        times = torch.full((len(x_0),), t, device=x_0.device)
        for name, part in _variances(estimate, x_0).items():
            estimate.variance = part
            term = bound(process, x_0, estimate, times).double()
            found[name] = found[name] + term if name in found else term
    beyond = ahead.flatten(1).mean(1) / math.log(2)  # L_T
    return {name: np.asarray((total + beyond).cpu()) for name, total in found.items()}


def _variances(estimate: Estimate, x_0: Tensor) -> dict[Variance, Tensor]:
    """Return where the variance of a step is between that of posterior and forward step."""
    if estimate.variance is not None:
        return {"learned_range": estimate.variance}
    return {"fixed_small": x_0.new_full((), -1.0), "fixed_large": x_0.new_full((), 1.0)}


def _ends(process: Process) -> tuple[float, float]:
    """Return u of the least and of the most noise."""
    times = np.array([process.t_learnt, process.t_max])
    alpha, sigma = process.alpha(times), process.sigma(times)
    least, most = (sigma / (alpha + process.ode_mix * sigma)).tolist()
    return least, most


def _slope(
    model: Model,
    ode: ODE,
    point: Point,
    y: Tensor,
    probes: Sequence[Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Return dy/du, B×C×H×W, and its divergence, B."""
    with torch.enable_grad():
        y = y.requires_grad_()
        slope = ode.slope(model(point.scale * y, point.t))
        if probes is None:
            return slope.detach(), _trace(slope, y)
        found = [
            probe * torch.autograd.grad(slope, y, probe, retain_graph=i + 1 < len(probes))[0]
            for i, probe in enumerate(probes)
        ]
    return slope.detach(), torch.stack(found).double().flatten(2).sum(2).mean(0)


def _trace(slope: Tensor, y: Tensor) -> Tensor:
    """Return the trace of the Jacobian of each image, B; images do not depend on each other."""
    flat, total = slope.flatten(1), torch.zeros(len(y), dtype=torch.float64, device=y.device)
    for i in range(flat.shape[1]):
        (row,) = torch.autograd.grad(flat[:, i].sum(), y, retain_graph=i + 1 < flat.shape[1])
        total += row.flatten(1)[:, i].double()
    return total


def _log_prior(process: Process, x_T: Tensor) -> Array:
    """Return the log density of states at the last time, B, under the process's prior."""
    mean = process.prior(torch.zeros((), dtype=torch.float64))
    std = float(process.prior(torch.ones((), dtype=torch.float64)) - mean)
    z = (x_T.double().cpu().flatten(1) - mean) / std
    each = z.shape[1] * (math.log(std) + 0.5 * math.log(2 * math.pi))
    return np.asarray(-0.5 * z.square().sum(1) - each)


def _flat(x: Tensor) -> Array:
    return np.asarray(x.detach().double().cpu()).ravel()
