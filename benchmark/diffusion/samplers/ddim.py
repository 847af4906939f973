"""Denoising diffusion implicit models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, exact_chain, levels
from benchmark.diffusion.samplers.base import SAMPLERS, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


@SAMPLERS.register("ddim")
def ddim(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
    *,
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Tensor:
    """Sample with Song et al. 2021 (DDIM), equation 12.

    `eta` (equation 16) is 0 for a deterministic sampler, Euler's method for the probability-flow
    ODE in the variables x/α and σ/α (equation 14), and 1 for the variance of ancestral sampling.
    """
    alpha, sigma = levels(process, timesteps)
    _, g = exact_chain(process, timesteps)
    std = eta * g * sigma[1:] / sigma[:-1]
    of_eps = np.sqrt(np.maximum(sigma[1:] ** 2 - std**2, 0.0))
    x = x_T
    for i, (t, c_0, c_eps, s) in enumerate(rows(timesteps, alpha[1:], of_eps, std)):
        estimate = model(x, t)
        if callback:
            callback(i, t, x, estimate.x0)
        x = blend(c_0, estimate.x0, c_eps, estimate.eps)
        if s > 0:
            x.add_(noise(), alpha=s)
    return x
