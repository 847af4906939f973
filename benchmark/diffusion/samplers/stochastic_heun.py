"""Heun's method with noise that is added before each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import NotNegative, Positive
from benchmark.diffusion.ode import FAMILIES, ODE
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler, rows
from benchmark.diffusion.samplers.heun import HEUN
from benchmark.diffusion.samplers.runge_kutta import EULER, step

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise

MOST = math.sqrt(2) - 1  # γ: no step adds more noise than there is


class StochasticHeun(Sampler):
    """Raises the noise by a factor, then takes Heun's step down from there.

    Karras et al. 2022, algorithm 2, in x/α and σ/α, by default with their settings for ImageNet
    (table 5, last column). Each step takes two evaluations but for the last, which goes to σ = 0 by
    Euler's method. `s_churn: 0` is Heun's method.
    """

    paper = "[Karras et al. 2022](https://arxiv.org/abs/2206.00364), algorithm 2"
    families = FAMILIES
    usual_spacing = "karras"
    kind: Literal["stochastic-heun"] = "stochastic-heun"
    s_churn: NotNegative = Field(
        default=40.0, description="N times the share by which each of N steps raises σ/α"
    )
    s_min: NotNegative = Field(default=0.05, description="The least σ/α to which noise is added")
    s_max: Positive = Field(default=50.0, description="The largest σ/α to which noise is added")
    s_noise: Positive = Field(
        default=1.003, description="Standard deviation of the noise, in place of 1"
    )

    @model_validator(mode="after")
    def _check_range(self) -> StochasticHeun:
        if self.s_min >= self.s_max:
            raise ValueError(
                f"sampler: s_min = {self.s_min} and s_max = {self.s_max} leave no levels to which "
                "noise is added: s_min < s_max would; s_churn = 0 adds none"
            )
        return self

    @property
    def leaves_its_times(self) -> bool:
        """Tell whether a step begins with more noise."""
        return self.s_churn > 0

    def plan(self, process: Process, steps: int) -> Array:
        """Return the times of the steps, of shape (N,); see `Sampler.plan`.

        Raises:
            BenchmarkError: a range of levels is stated that has none of the steps', so that no
                noise would be added; or as in `Sampler.plan`.
        """
        times = super().plan(process, steps)
        level, is_raised = self._levels(process, times)
        if self.model_fields_set & {"s_min", "s_max"} and self.s_churn > 0 and not is_raised.any():
            raise BenchmarkError(
                f"sampler: no level of {steps} steps, {level.max():.3g} to {level.min():.3g}, is "
                f"between s_min = {self.s_min} and s_max = {self.s_max}, so that {self.kind} would "
                "add no noise: choose others, more steps, or s_churn: 0"
            )
        return times

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
        raised, keep, std = self._raise(process, timesteps)
        ode = ODE(process)
        starts, ends = ode.points(raised)[:-1], ode.points(timesteps)[1:]
        x, last = x_T, len(timesteps) - 1
        for i, (t, keep_t, std_t) in enumerate(rows(timesteps, keep, std)):
            x_hat = x
            if std_t > 0:
                x_hat = (keep_t * x).add_(noise(), alpha=std_t)  # lines 5 and 6
            estimate = model(x_hat, starts[i].t)  # line 7
            if callback:
                callback(i, t, x, estimate.x0)
            stages, method = ([ends[i]], HEUN) if i < last else ([], EULER)
            path = [starts[i], *stages, ends[i]]
            x = step(model, ode, x_hat, estimate, path, method)  # lines 8 to 11
        return x

    def _raise(self, process: Process, timesteps: Array) -> tuple[Array, Array, Array]:
        """Return the times t̂ of N times, and the factors of x and of the noise on the way there.

        A process in discrete time has no noise above that of its last time, at which t̂ then stays.
        """
        sigma = process.sigma(timesteps)
        level, is_raised = self._levels(process, timesteps)
        gamma = min(self.s_churn / len(timesteps), MOST)
        times, ratio = timesteps.copy(), np.ones(len(timesteps))
        times[is_raised] = process.time_of((1 + gamma) * level[is_raised])  # line 5
        reached = process.sigma(times)
        ratio[is_raised] = reached[is_raised] / process.alpha(times[is_raised]) / level[is_raised]
        std = self.s_noise * reached * np.sqrt(np.maximum(1 - ratio**-2, 0.0))  # α̂ √(σ̂² - σ²)
        return times, reached / (sigma * ratio), std

    def _levels(self, process: Process, timesteps: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return σ/α of N times, and at which of them noise is added: not where α is 0."""
        with np.errstate(divide="ignore"):
            level = process.sigma(timesteps) / process.alpha(timesteps)
        return level, (self.s_min <= level) & (level <= self.s_max)
