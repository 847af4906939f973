"""What a network pays that predicts the variance of each step of a VP chain in discrete time.

Nichol and Dhariwal 2021, section 3.1: of C channels of images it has 2C outputs. The second half
says where the variance is between that of the posterior, β̃_t, and that of the forward step, β_t.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate
from benchmark.diffusion.processes.base import Process, exact_chain, levels

HALF_A_LEVEL = 1 / 255  # of pixels in [-1, 1], of which 256 levels are known


def bound(process: Process, x_0: Tensor, estimate: Estimate, t: Tensor) -> Tensor:
    """Return the terms of the variational bound that depend on the variance, B, in bits per value.

    L_{t-1} is the divergence of p(x_{t-1} | x_t) from the posterior q(x_{t-1} | x_t, x_0), and L_0
    what it costs to tell the pixels: Ho et al. 2020, equations 5, 7 and 13. The mean is taken as
    given, so that no gradient reaches it: Nichol and Dhariwal 2021, section 3.1.

    Args:
        process: in discrete time.
        x_0: images in [-1, 1], B×C×H×W.
        estimate: of x_0 and of the variance, from x_t.
        t: integer times, B.
    """
    assert estimate.variance is not None
    shape = (-1, *[1] * (x_0.ndim - 1))
    table = _table(process, x_0.device)[:, t].to(x_0.dtype)
    of_x0, least, most = (row.reshape(shape) for row in table)  # (B, 1, 1, 1)
    part = (estimate.variance + 1) / 2
    log_variance = part * most + (1 - part) * least  # equation 15
    mean = estimate.x0.detach()
    error = (of_x0 * (x_0 - mean)).square()  # of the posterior's mean, Ho et al. 2020, equation 7
    divergence = 0.5 * (
        log_variance - least + (least - log_variance).exp() + error * (-log_variance).exp() - 1
    )
    pixels = -log_likelihood(x_0, mean, (0.5 * log_variance).exp())
    nats = torch.where(t.reshape(shape) == 0, pixels, divergence)
    return nats.flatten(1).mean(1) / math.log(2)


def log_likelihood(x_0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return the log probability of each pixel's grey level, Ho et al. 2020, equation 13.

    Args:
        x_0: pixels in [-1, 1], of 256 levels, of any shape.
        mean: of the normal distribution, of the same shape.
        std: its standard deviation, of the same shape.
    """
    upper, lower = (x_0 + HALF_A_LEVEL - mean) / std, (x_0 - HALF_A_LEVEL - mean) / std
    between = (torch.special.ndtr(upper) - torch.special.ndtr(lower)).clamp(min=1e-12).log()
    darkest, lightest = torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower)
    found = torch.where(x_0 > 1 - HALF_A_LEVEL, lightest, between)
    return torch.where(x_0 < -1 + HALF_A_LEVEL, darkest, found)


@lru_cache(maxsize=8)
def _table(process: Process, device: torch.device) -> Tensor:
    """Return the factor of x_0 in the posterior's mean, log β̃ and log β of all times: 3×T, float64.

    The posterior of the first time is x_0 itself. As in the authors' code the variance of the next
    stands in for its variance, which is 0.
    """
    times = np.arange(process.t_max + 1)[::-1]
    alpha, sigma = levels(process, times)
    _, g = exact_chain(process, times)
    least = g * sigma[1:] / sigma[:-1]
    least[-1] = least[-2] if len(least) > 1 else g[-1]
    of_x0 = alpha[1:] * (g / sigma[:-1]) ** 2
    table = np.stack([of_x0, 2 * np.log(least), 2 * np.log(g)])
    return torch.as_tensor(table[:, ::-1].copy(), device=device)
