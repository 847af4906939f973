"""The reverse-time SDE by the Euler-Maruyama method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.sde import SDE
from benchmark.diffusion.samplers.base import SAMPLERS, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


@SAMPLERS.register("euler-maruyama", families=["ve", "vp", "sub-vp"], spacing="linspace")
def euler_maruyama(
    model: Model,
    process: SDE,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """Solve dx = (f x - g² ∇ log p) dt + g dw̄ backwards, Song et al. 2021, equation 6.

    At the last time it returns the expected clean image, so that no noise is left.
    """
    dt = np.append(-np.diff(timesteps), 0.0)  # positive
    keep = 1 - process.drift(timesteps) * dt
    of_score = process.diffusion(timesteps) ** 2 * dt
    last = len(timesteps) - 1
    x = x_T
    for i, (t, c_t, variance) in enumerate(rows(timesteps, keep, of_score)):
        estimate = model(x, t)
        if callback:
            callback(i, t, x, estimate.x0)
        if i == last:
            return estimate.x0
        x = blend(c_t, x, variance, estimate.score).add_(noise(), alpha=variance**0.5)
    return x
