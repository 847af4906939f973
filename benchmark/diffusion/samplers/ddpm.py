"""Ancestral sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, exact_chain, levels
from benchmark.diffusion.samplers.base import Sampler, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class DDPM(Sampler):
    """Draws x_s from the posterior q(x_s | x_t, x̂_0), one time after the other.

    Ho et al. 2020, algorithm 2, on any subset of the times (Nichol and Dhariwal 2021, section 4).
    On a VE process it is Song et al. 2021, equation 47.
    """

    paper = "[Ho et al. 2020](https://arxiv.org/abs/2006.11239), algorithm 2"
    kind: Literal["ddpm"] = "ddpm"
    variance: Literal["fixed_small", "fixed_large"] = Field(
        default="fixed_small", description="That of the posterior, or of the forward step"
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
        """Return x_0 by algorithm 2; see `Sampler.sample`."""
        alpha, sigma = levels(process, timesteps)
        a, g = exact_chain(process, timesteps)  # x_t = a x_s + g z; of T times g² is β_t
        of_x0 = alpha[1:] * (g / sigma[:-1]) ** 2  # equation 7, left
        of_x = a * (sigma[1:] / sigma[:-1]) ** 2  # equation 7, middle
        small = g * sigma[1:] / sigma[:-1]  # equation 7, right: the square root of β̃_t
        std = small if self.variance == "fixed_small" else g  # section 3.2
        std = np.append(std[:-1], 0.0)  # z = 0 in the last step, algorithm 2, line 3
        x = x_T
        for i, (t, of_x0_t, of_x_t, std_t) in enumerate(rows(timesteps, of_x0, of_x, std)):
            x0 = model(x, t).x0
            if callback:
                callback(i, t, x, x0)
            x = blend(of_x0_t, x0, of_x_t, x)  # μ̃_t of equation 7
            if std_t > 0:
                x.add_(noise(), alpha=std_t)  # equation 6
        return x
