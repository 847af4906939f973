"""Annealed Langevin dynamics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import SAMPLERS, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


@SAMPLERS.register("annealed-langevin", families=["ve-discrete"], spacing="repeat")
def annealed_langevin(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
    *,
    step_size: Annotated[float, Field(gt=0, le=1)] = 2e-5,
    denoise: bool = False,
    start: Literal["uniform", "normal"] = "uniform",
) -> Tensor:
    """Take one Langevin step at each time, Song and Ermon 2019, algorithm 1.

    `timesteps` holds every level as often as it is to be updated. `step_size` is the paper's ε. The
    authors' code has ε where the algorithm has ε/2, so its 2e-5 is 4e-5 here. `denoise` adds the
    last step of Jolicoeur-Martineau et al. 2021: the expected clean image, one evaluation more.
    `start` is uniform over the data range as in the paper's section 5, or x_T itself with `normal`.
    Langevin dynamics forgets where it starts, as other samplers do not.
    """
    sigma = process.sigma(timesteps)
    alpha = step_size * (sigma / process.sigma(0)) ** 2  # α_i = ε σ_i²/σ_L²
    x = _uniform(process, x_T) if start == "uniform" else x_T
    for i, (t, a, std) in enumerate(rows(timesteps, alpha, np.sqrt(alpha))):
        estimate = model(x, t)
        if callback:
            callback(i, t, x, estimate.x0)
        x = x.add(estimate.score, alpha=a / 2).add_(noise(), alpha=std)
    return model(x, 0.0).x0 if denoise else x


def _uniform(process: Process, x_T: Tensor) -> Tensor:
    """Return uniform noise over the data range, by the distribution function of the prior's."""
    low, high = process.data_range
    z = (x_T - (low + high) / 2) / float(process.sigma(process.t_max))
    return low + (high - low) / 2 * ((z / math.sqrt(2)).erf() + 1)
