"""PNDM, pseudo numerical methods for diffusion models."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.ode import FAMILIES, ODE, move
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler
from benchmark.diffusion.samplers.heun import HEUN
from benchmark.diffusion.samplers.ipndm import EXTRAPOLATION
from benchmark.diffusion.samplers.rk4 import RK4
from benchmark.diffusion.samplers.runge_kutta import step

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise

WARM = 3  # steps until there are four predictions


class PNDM(Sampler):
    """Takes DDIM's step with ε̂ that is extrapolated from the last four predictions.

    Liu et al. 2022, F-PNDM. Each of the first three steps is one of Runge and Kutta's with four
    evaluations, two of them at the time half-way; the others are linear multistep steps. Without
    the former the first step is Heun's. The factors are those of even steps, whatever the times
    are, so that the order is 2. The step to the clean image takes the predictions that there are.
    """

    paper = "[Liu et al. 2022](https://arxiv.org/abs/2202.09778), F-PNDM"
    families = FAMILIES
    diffusers = "PNDMScheduler"
    kind: Literal["pndm"] = "pndm"
    skip_prk_steps: bool = Field(
        default=False, description="Begin with Heun's step and lower orders, at one evaluation more"
    )

    @property
    def leaves_its_times(self) -> bool:
        """Tell whether its first steps are of Runge and Kutta."""
        return not self.skip_prk_steps

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W; see `Sampler.sample`. `noise` is never called."""
        ode = ODE(process)
        middles = ode.points((timesteps[:-1] + timesteps[1:]) / 2)
        slopes: list[Tensor] = []  # newest first
        x, last = x_T, len(timesteps) - 1
        for i, (start, end) in enumerate(pairwise(ode.points(timesteps))):
            estimate = model(x, start.t)
            if callback:
                callback(i, start.t, x, estimate.x0)
            slopes = [ode.slope(estimate), *slopes][: WARM + 1]
            if i < min(WARM, last) and not self.skip_prk_steps:
                middle = middles[i]
                half = (middle.u - start.u) / (end.u - start.u)  # of the step; in u not a half
                method = RK4._replace(shares=((half,), (0.0, half), (0.0, 0.0, 1.0)))
                path = [start, middle, middle, end, end]
                x = step(model, ode, x, estimate, path, method)  # pseudo Runge-Kutta
            elif i == 0 < last:
                x = step(model, ode, x, estimate, [start, end, end], HEUN)
            else:
                factors = EXTRAPOLATION[len(slopes)]
                shares = zip(factors, slopes, strict=True)
                x = move(x, start, end, end.u - start.u, shares)  # pseudo linear multistep
        return x
