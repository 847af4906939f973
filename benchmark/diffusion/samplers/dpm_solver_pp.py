"""DPM-Solver++(2M), a multistep solver of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.multistep import FEW_STEPS, Ending, Path, orders, solve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class DPMSolverPP(Ending):
    """Solves the probability-flow ODE from the last two predictions of x_0.

    Lu et al. 2022 (DPM-Solver++), algorithm 2. The first step is of first order. So is one to the
    clean image, where no higher order is defined.
    """

    paper = "[Lu et al. 2022](https://arxiv.org/abs/2211.01095), algorithm 2 (2M)"
    diffusers = "DPMSolverMultistepScheduler"
    kind: Literal["dpm-solver++"] = "dpm-solver++"
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
        """Return x_0, B×C×H×W, by algorithm 2; see `Sampler.sample`. `noise` is never called."""
        steps = len(timesteps)
        is_short = self.lower_order_final and steps < FEW_STEPS
        found = orders(steps, 2, is_short, self.final_sigmas_type)
        # The formulas of orders 1 and 2 in the data prediction are those of UniPC's predictor.
        path = Path(process, timesteps, self.final_sigmas_type, predict_x0=True, solver_type="bh2")
        predictors = [path.predictor(i, order) for i, order in enumerate(found)]
        return solve(model, x_T, timesteps, callback, predictors, path.predicted)
