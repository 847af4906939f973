"""DPM-Solver++(3M), a multistep solver of third order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.multistep import FEW_STEPS, Ending, Path, orders, solve

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class DPMSolverPP3M(Ending):
    """Solves the probability-flow ODE from the last three predictions of x_0.

    Lu et al. 2022 (DPM-Solver++), proposition 4.1 with the quadratic polynomial through the three
    predictions, integrated exactly. The first steps are of the order for which there are
    predictions; a step to the clean image, where no higher order is defined, is of first order.
    """

    paper = "[Lu et al. 2022](https://arxiv.org/abs/2211.01095), proposition 4.1 (3M)"
    kind: Literal["dpm-solver++3m"] = "dpm-solver++3m"
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
        is_short = self.lower_order_final and steps < FEW_STEPS
        found = orders(steps, 3, is_short, self.final_sigmas_type)
        # With "bh2" a step of two predictions is that of 2M, as in the authors' code.
        path = Path(process, timesteps, self.final_sigmas_type, predict_x0=True, solver_type="bh2")
        predictors = [path.predictor(i, order) for i, order in enumerate(found)]
        return solve(model, x_T, timesteps, callback, predictors, path.predicted)
