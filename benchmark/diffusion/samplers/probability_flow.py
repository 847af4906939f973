"""The probability-flow ODE by an adaptive solver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.sde import SDE
from benchmark.diffusion.samplers.base import Sampler, of_rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class ProbabilityFlow(Sampler):
    """Solves dx/dt = f x + k x̂_0 - ½ g² ∇ log p backwards, Song et al. 2021, equation 13.

    k is 0 but for a flow, whose drift is -x_0.

    scipy's `solve_ivp` chooses the steps between the first and the last of the times; the expected
    clean image follows. Each image is solved by itself: solved together, the error of one would
    choose the steps of the others.
    """

    paper = "[Song et al. 2021](https://arxiv.org/abs/2011.13456), equation 13"
    families = ("ve", "vp", "sub-vp", "edm", "flow")
    usual_spacing = "linspace"
    even_on_sdes = True
    adaptive = True
    kind: Literal["probability-flow"] = "probability-flow"
    method: Literal["RK45", "RK23", "DOP853"] = Field(
        default="RK45", description="Of scipy's solve_ivp"
    )
    atol: float = Field(default=1e-5, gt=0, le=1, description="Absolute tolerance")
    rtol: float = Field(default=1e-5, gt=0, le=1, description="Relative tolerance")

    def sample(  # type: ignore[override]  # `families` lets no other process through
        self,
        model: Model,
        process: SDE,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W, by equation 13; see `Sampler.sample`.

        `callback` is called only at the end, and `noise` never.
        """
        x = x_T.clone()
        x0 = x.clone()
        for i in range(len(x_T)):
            rows = slice(i, i + 1)
            alone = of_rows(model, rows)
            x[i] = self._solve(alone, process, x_T[rows], timesteps)[0]
            x0[i] = alone(x[rows], float(timesteps[-1])).x0[0]
        if callback:
            callback(len(timesteps) - 1, float(timesteps[-1]), x, x0)
        return x0

    def _solve(self, model: Model, process: SDE, x_T: Tensor, timesteps: Array) -> Tensor:
        """Return the solution at the last time for one image x_T: 1×C×H×W."""
        from scipy.integrate import solve_ivp

        def slope(t: float, flat: Array) -> Array:
            x = x_T.new_tensor(flat).reshape(x_T.shape)
            estimate, pull = model(x, t), process.pull(t)
            dx = process.drift(t) * x - 0.5 * process.diffusion(t) ** 2 * estimate.score
            if pull:
                dx = dx + pull * estimate.x0
            return np.asarray(dx.double().cpu()).ravel()

        start = np.asarray(x_T.double().cpu()).ravel()
        span = (float(timesteps[0]), float(timesteps[-1]))
        solution = solve_ivp(slope, span, start, method=self.method, atol=self.atol, rtol=self.rtol)
        return x_T.new_tensor(solution.y[:, -1]).reshape(x_T.shape)
