"""UniPC, a multistep predictor and corrector of any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.multistep import (
    Ending,
    Multistep,
    Path,
    SolverType,
    orders,
    solve,
)

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class UniPC(Multistep, Ending):
    """Solves the probability-flow ODE with UniPC-p, Zhao et al. 2023; p is `solver_order`.

    When the network has been evaluated at the predicted state, the step that led there is taken
    once more with the help of it, so that the order is p + 1 at no further evaluation. Early steps
    are of the order for which there are predictions. One to the clean image is of first order, as
    no higher one is defined.
    """

    paper = "[Zhao et al. 2023](https://arxiv.org/abs/2302.04867), algorithms 1 and 2"
    diffusers = "UniPCMultistepScheduler"
    kind: Literal["unipc"] = "unipc"
    solver_order: int = Field(default=2, ge=1, le=4, description="p of the paper")
    solver_type: SolverType = Field(
        default="bh2", description="B(h) of the paper: h (bh1), or e^h - 1 (bh2)"
    )
    predict_x0: bool = Field(
        default=True, description="Solve in the prediction of the data, or in that of the noise"
    )
    lower_order_final: bool = Field(
        default=True, description="Lower the order towards the end, to 1 in the last step"
    )
    disable_corrector: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="Steps, from 0, that are not taken once more", examples=[[0, 1]]
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
        """Return x_0, B×C×H×W, by algorithms 1 and 2, without `noise`; see `Sampler.sample`."""
        steps = orders(
            len(timesteps), self.solver_order, self.lower_order_final, self.final_sigmas_type
        )
        path = Path(process, timesteps, self.final_sigmas_type, self.predict_x0, self.solver_type)
        predictors = [path.predictor(i, order) for i, order in enumerate(steps)]  # algorithm 2
        correctors = [  # algorithm 1
            None if i in self.disable_corrector else path.corrector(i, order)
            for i, order in enumerate(steps[:-1])
        ]
        return solve(
            model, x_T, timesteps, callback, predictors, path.predicted, [None, *correctors]
        )
