"""Ancestral sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.diffusion.processes.base import Array, Process, exact_chain, levels
from benchmark.diffusion.samplers.base import SAMPLERS, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


@SAMPLERS.register("ddpm")
def ddpm(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
    *,
    variance: Literal["fixed_small", "fixed_large"] = "fixed_small",
) -> Tensor:
    """Sample from the posterior q(x_s | x_t, x̂_0) of one time after the other.

    Ho et al. 2020, algorithm 2, in the form of equations 6 and 7, on any subset of the times
    (Nichol and Dhariwal 2021, section 4); on a VE process it is Song et al. 2021, equation 47.
    `variance` is that of the posterior (`fixed_small`) or of the forward step (`fixed_large`).
    """
    alpha, sigma = levels(process, timesteps)
    a, g = exact_chain(process, timesteps)  # x_t = a x_s + g z
    of_x0 = alpha[1:] * (g / sigma[:-1]) ** 2
    of_x = a * (sigma[1:] / sigma[:-1]) ** 2
    std = g * sigma[1:] / sigma[:-1] if variance == "fixed_small" else g
    std = np.append(std[:-1], 0.0)  # the last step returns its mean
    x = x_T
    for i, (t, c_0, c_t, s) in enumerate(rows(timesteps, of_x0, of_x, std)):
        x0 = model(x, t).x0
        if callback:
            callback(i, t, x, x0)
        x = blend(c_0, x0, c_t, x)
        if s > 0:
            x.add_(noise(), alpha=s)
    return x
