"""DEIS, a multistep exponential integrator in the noise prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.multistep import (
    FEW_STEPS,
    Ending,
    Multistep,
    Path,
    orders,
    solve,
)

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class DEIS(Multistep, Ending):
    """Solves the probability-flow ODE with a polynomial through the last predictions of ε.

    Zhang and Chen 2022 (DEIS), with the polynomial in log σ/α as in diffusers. Early steps are of
    the order for which there are predictions. One to the clean image is of first order, as σ/α has
    no logarithm there.
    """

    paper = "[Zhang and Chen 2022](https://arxiv.org/abs/2204.13902), in log σ/α"
    kind: Literal["deis"] = "deis"
    solver_order: int = Field(
        default=3, ge=1, le=3, description="Number of predictions in a step; 1: DDIM"
    )
    lower_order_final: bool = Field(
        default=True, description="Lower the order of the last of fewer than 15 steps, to 1 at last"
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
        steps = len(timesteps)
        path = Path(
            process, timesteps, self.final_sigmas_type, predict_x0=False, solver_type="exact"
        )
        is_short = self.lower_order_final and steps < FEW_STEPS
        found = orders(steps, self.solver_order, is_short, self.final_sigmas_type)
        predictors = [path.predictor(i, order) for i, order in enumerate(found)]
        return solve(model, x_T, timesteps, callback, predictors, path.predicted)
