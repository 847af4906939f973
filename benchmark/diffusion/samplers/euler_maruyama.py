"""The reverse-time SDE by the Euler-Maruyama method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.sde import SDE
from benchmark.diffusion.samplers.base import Sampler, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class EulerMaruyama(Sampler):
    """Solves dx = (f x + k x̂_0 - g² ∇ log p) dt + g dw̄ backwards, Song et al. 2021, equation 6.

    k is 0 but for a flow, whose drift is -x_0.

    At the last time it returns the expected clean image, so that no noise is left.
    """

    paper = "[Song et al. 2021](https://arxiv.org/abs/2011.13456), equation 6"
    families = ("ve", "vp", "sub-vp", "edm", "flow")
    usual_spacing = "linspace"
    takes_state = True
    kind: Literal["euler-maruyama"] = "euler-maruyama"

    def sample(  # type: ignore[override]  # `families` lets no other process through
        self,
        model: Model,
        process: SDE,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W, by equation 6; see `Sampler.sample`."""
        dt = np.append(-np.diff(timesteps), 0.0)  # positive
        keep = 1 - process.drift(timesteps) * dt
        variance = process.diffusion(timesteps) ** 2 * dt
        pull = -process.pull(timesteps) * dt
        last = len(timesteps) - 1
        x = x_T
        for i, (t, keep_t, variance_t, pull_t) in enumerate(rows(timesteps, keep, variance, pull)):
            estimate = model(x, t)
            if callback:
                callback(i, t, x, estimate.x0)
            if i == last:
                return estimate.x0
            x = blend(keep_t, estimate.x_t, variance_t, estimate.score)  # x - (f x - g² ∇ log p) dt
            if pull_t:
                x.add_(estimate.x0, alpha=pull_t)  # - k x̂_0 dt
            x.add_(noise(), alpha=variance_t**0.5)  # + g √dt z
        return x
