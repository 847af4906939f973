"""iPNDM, DDIM's step with an extrapolated noise prediction."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.ode import ODE
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.multistep import Formula, Multistep, solve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise

# The factors of the last predictions, newest first, by their number: Adams and Bashforth's.
EXTRAPOLATION = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


class IPNDM(Multistep):
    """Takes Euler's step with a slope of the ODE that is extrapolated from the last ones.

    The pseudo linear multistep method of Liu et al. 2022 (PNDM), improved in Zhang and Chen 2022
    (DEIS): early steps take the predictions that there are, at no further evaluation. The factors
    are those of even steps, whatever the times are, so that the order is at most 2.
    """

    paper = "[Zhang and Chen 2022](https://arxiv.org/abs/2204.13902), iPNDM"
    kind: Literal["ipndm"] = "ipndm"
    solver_order: int = Field(
        default=4, ge=1, le=4, description="Number of predictions in a step; 1: DDIM"
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
        """Return x_0, B×C×H×W; see `Sampler.sample`. `noise` is never called."""
        ode = ODE(process)
        predictors = []
        for i, (start, end) in enumerate(pairwise(ode.points(timesteps))):
            step = end.scale * (end.u - start.u)
            factors = EXTRAPOLATION[min(i + 1, self.solver_order)]
            keep = end.scale / start.scale
            predictors.append(Formula(keep, [step * factor for factor in factors]))
        return solve(model, x_T, timesteps, callback, predictors, ode.slope)
