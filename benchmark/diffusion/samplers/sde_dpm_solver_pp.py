"""SDE-DPM-Solver++(2M), a multistep solver of the reverse-time SDE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, levels
from benchmark.diffusion.samplers.base import Sampler, blend, rows
from benchmark.diffusion.samplers.multistep import FEW_STEPS

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class SDEDPMSolverPP(Sampler):
    """Solves the reverse-time SDE from the last two predictions of x_0.

    Lu et al. 2022 (DPM-Solver++), section 4.3, SDE-DPM-Solver++(2M). With λ = log α/σ and
    h = λ_t - λ_s a step is x_t = (σ_t/σ_s) e^-h x_s + α_t (1 - e^-2h) D + σ_t √(1 - e^-2h) z. Of
    first order, where D is the last prediction alone, it is DDIM with η = 1, ancestral sampling.
    The step to the clean image is, and so is the last of fewer than 15.
    """

    paper = "[Lu et al. 2022](https://arxiv.org/abs/2211.01095), section 4.3"
    usual_spacing = "linspace"
    drop_last = True
    kind: Literal["sde-dpm-solver++"] = "sde-dpm-solver++"
    lower_order_final: bool = Field(
        default=True, description="Take the last of fewer than 15 steps at first order"
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
        """Return x_0, B×C×H×W; see `Sampler.sample`."""
        alpha, sigma = levels(process, timesteps)
        with np.errstate(divide="ignore"):  # at the clean image λ is infinite
            h = np.diff(np.log(alpha) - np.log(sigma))
        decay = np.exp(-h)  # e^-h, 0 for the step to the clean image
        keep = sigma[1:] / sigma[:-1] * decay
        gain = -alpha[1:] * np.expm1(-2 * h)  # α_t (1 - e^-2h)
        std = sigma[1:] * np.sqrt(-np.expm1(-2 * h))
        x, before = x_T, None
        table = rows(timesteps, keep, gain, std, self._slopes(h))
        for i, (t, keep_t, gain_t, std_t, slope) in enumerate(table):
            estimate = model(x, t)
            if callback:
                callback(i, t, x, estimate.x0)
            x = blend(keep_t, x, gain_t * (1 + slope), estimate.x0)
            if before is not None and slope:  # D = x̂_0 + (x̂_0 - that before) / 2r, r = h_before/h
                x.add_(before, alpha=-gain_t * slope)
            if std_t > 0:
                x.add_(noise(), alpha=std_t)
            before = estimate.x0
        return x

    def _slopes(self, h: Array) -> Array:
        """Return 1/2r of each step: how far D extrapolates; 0 for a step of first order."""
        slopes = np.zeros(len(h))
        with np.errstate(invalid="ignore"):  # from α = 0 to the clean image in two steps
            slopes[1:] = h[1:] / h[:-1] / 2
        is_low = np.isinf(h)
        is_low[-1] |= self.lower_order_final and len(h) < FEW_STEPS
        return np.where(is_low, 0.0, slopes)
