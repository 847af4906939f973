"""DPM-Solver++(2S), a singlestep solver of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.diffusion.processes.base import Array, Process, levels
from benchmark.diffusion.samplers.base import blend, rows
from benchmark.diffusion.samplers.multistep import Ending

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class DPMSolverPP2S(Ending):
    """Solves the probability-flow ODE by steps from each second time, with one between.

    Lu et al. 2022 (DPM-Solver++), algorithm 1. A step from t over s to u takes the predictions of
    x_0 at t and at s. With λ = log α/σ, h = λ_u - λ_t and r = (λ_s - λ_t)/h it is
    x_u = (σ_u/σ_t) x_t - α_u (e^-h - 1) D, D = (1 - 1/2r) x̂_0 at t + (1/2r) x̂_0 at s. Steps to the
    clean image and from pure noise are of first order, as λ is infinite there. So is one that is
    left over at the end.
    """

    paper = "[Lu et al. 2022](https://arxiv.org/abs/2211.01095), algorithm 1 (2S)"
    diffusers = "DPMSolverSinglestepScheduler"
    kind: Literal["dpm-solver++2s"] = "dpm-solver++2s"

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W, by algorithm 1; see `Sampler.sample`. `noise` is never called."""
        table = rows(timesteps, *self._coefficients(process, timesteps))
        x = start = x_T
        x0_start: Tensor | None = None
        for i, (t, keep, gain, share) in enumerate(table):
            x0 = model(x, t).x0
            if callback:
                callback(i, t, x, x0)
            if share == 0 or x0_start is None:  # line 4
                start, x0_start = x, x0
                x = blend(keep, x, gain, x0)
            else:  # lines 5 and 6
                x = blend(keep, start, gain * (1 - share), x0_start).add_(x0, alpha=gain * share)
        return x

    def _coefficients(self, process: Process, timesteps: Array) -> tuple[Array, Array, Array]:
        """Return the factors of x and of D, and 1/2r, of each time.

        At the first time of a pair they are those of the step to the second, with 1/2r = 0; at the
        second those of the step from the first to the time after.
        """
        end = None if self.final_sigmas_type == "zero" else process.t_min
        alpha, sigma = levels(process, timesteps, end)
        with np.errstate(divide="ignore"):
            log_snr = np.log(alpha) - np.log(sigma)
        i = np.arange(len(timesteps))
        second = i % 2 == 1
        second[1:] &= np.isfinite(log_snr[:-2]) & np.isfinite(log_snr[2:])
        start = i - second
        share = np.zeros(len(i))
        first, middle, last = (log_snr[i[second] + k] for k in (-1, 0, 1))
        share[second] = (last - first) / (middle - first) / 2
        keep = sigma[i + 1] / sigma[start]
        return keep, alpha[i + 1] - keep * alpha[start], share  # α (1 - e^-h)
