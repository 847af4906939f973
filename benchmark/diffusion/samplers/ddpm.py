"""Ancestral sampling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, exact_chain, levels
from benchmark.diffusion.samplers.base import Sampler, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate
    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class DDPM(Sampler):
    """Draws x_s from the posterior q(x_s | x_t, x̂_0), one time after the other.

    Ho et al. 2020, algorithm 2, on any subset of the times (Nichol and Dhariwal 2021, section 4).
    On a VE process it is Song et al. 2021, equation 47.
    """

    paper = "[Ho et al. 2020](https://arxiv.org/abs/2006.11239), algorithm 2"
    takes_state = True
    kind: Literal["ddpm"] = "ddpm"
    variance: Literal["fixed_small", "fixed_large", "learned_range"] = Field(
        default="fixed_small",
        description="That of the posterior, of the forward step, or between the two where the "
        "network says (Nichol and Dhariwal 2021, equation 15)",
    )

    @property
    def needs_variance(self) -> bool:
        """Tell whether the variance is the network's."""
        return self.variance == "learned_range"

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W, by algorithm 2; see `Sampler.sample`."""
        alpha, sigma = levels(process, timesteps)
        a, g = exact_chain(process, timesteps)  # x_t = a x_s + g z; of T times g² is β_t
        of_x0 = alpha[1:] * (g / sigma[:-1]) ** 2  # equation 7, left
        of_x = a * (sigma[1:] / sigma[:-1]) ** 2  # equation 7, middle
        small = g * sigma[1:] / sigma[:-1]  # equation 7, right: the square root of β̃_t
        std = g if self.variance == "fixed_large" else small  # section 3.2
        std = np.append(std[:-1], 0.0)  # z = 0 in the last step, algorithm 2, line 3
        x = x_T
        table = rows(timesteps, of_x0, of_x, std, g)
        for i, (t, of_x0_t, of_x_t, std_t, g_t) in enumerate(table):
            estimate = model(x, t)
            if callback:
                callback(i, t, x, estimate.x0)
            x = blend(of_x0_t, estimate.x0, of_x_t, estimate.x_t)  # μ̃_t of equation 7
            if std_t > 0 and self.needs_variance:
                x.addcmul_(noise(), between(std_t, g_t, estimate))
            elif std_t > 0:
                x.add_(noise(), alpha=std_t)  # equation 6
        return x


def between(small: float, large: float, estimate: Estimate) -> Tensor:
    """Return the standard deviation of a step, B×C×H×W, Nichol and Dhariwal 2021, equation 15.

    Args:
        small: that of the posterior.
        large: that of the forward step.
        estimate: which says where it is between them.
    """
    assert estimate.variance is not None
    part = (estimate.variance + 1) / 2
    return (part * math.log(large / small)).exp() * small
