"""Denoising diffusion implicit models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, exact_chain, levels
from benchmark.diffusion.samplers.base import Sampler, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class DDIM(Sampler):
    """Denoises to x̂_0 and noises it again with the same ε̂ to the next level.

    Song et al. 2021 (DDIM), equation 12. Without noise it is Euler's method for the
    probability-flow ODE in the variables x/α and σ/α (equation 14).
    """

    paper = "[Song et al. 2021](https://arxiv.org/abs/2010.02502), equation 12"
    takes_state = True
    kind: Literal["ddim"] = "ddim"
    eta: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="0: deterministic; 1: with the variance of ancestral sampling",
    )

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W, by equation 12; see `Sampler.sample`."""
        alpha, sigma = levels(process, timesteps)
        _, g = exact_chain(process, timesteps)
        std = self.eta * g * sigma[1:] / sigma[:-1]  # equation 16
        direction = np.sqrt(np.maximum(sigma[1:] ** 2 - std**2, 0.0))  # the factor of ε̂
        x = x_T
        for i, (t, alpha_s, direction_s, std_s) in enumerate(
            rows(timesteps, alpha[1:], direction, std)
        ):
            estimate = model(x, t)
            if callback:
                callback(i, t, x, estimate.x0)
            x = blend(alpha_s, estimate.x0, direction_s, estimate.eps)  # equation 12
            if std_s > 0:
                x.add_(noise(), alpha=std_s)
        return x
