"""iPNDM, DDIM's step with an extrapolated noise prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, levels
from benchmark.diffusion.samplers.base import rows
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
    """Takes DDIM's step with ε̂ that is extrapolated from the last predictions.

    The pseudo linear multistep method of Liu et al. 2022 (PNDM), improved in Zhang and Chen 2022
    (DEIS): early steps take the predictions that there are, at no further evaluation. The factors
    are those of even steps, whatever the times are, so that the order is at most 2.
    """

    paper = "[Zhang and Chen 2022](https://arxiv.org/abs/2204.13902), iPNDM"
    divides_by_alpha = True
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
        alpha, sigma = levels(process, timesteps)
        keep = alpha[1:] / alpha[:-1]
        of_eps = sigma[1:] - keep * sigma[:-1]  # DDIM: x_s = α_s (x_t - σ_t ε̂)/α_t + σ_s ε̂
        predictors = []
        for i, (keep_t, of_eps_t) in enumerate(rows(keep, of_eps)):
            factors = EXTRAPOLATION[min(i + 1, self.solver_order)]
            predictors.append(Formula(keep_t, [of_eps_t * factor for factor in factors]))
        return solve(model, x_T, timesteps, callback, predictors, predict_x0=False)
