"""The probability-flow ODE by an adaptive solver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.sde import SDE
from benchmark.diffusion.samplers.base import SAMPLERS

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


@SAMPLERS.register(
    "probability-flow", families=["ve", "vp", "sub-vp"], spacing="linspace", even_on_sdes=True
)
def probability_flow(
    model: Model,
    process: SDE,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
    *,
    method: Literal["RK45", "RK23", "DOP853"] = "RK45",
    atol: Annotated[float, Field(gt=0, le=1)] = 1e-5,
    rtol: Annotated[float, Field(gt=0, le=1)] = 1e-5,
) -> Tensor:
    """Solve dx/dt = f x - ½ g² ∇ log p backwards, Song et al. 2021, equation 13.

    scipy's `solve_ivp` chooses the steps between the first and the last of `timesteps`, to
    tolerances `atol` and `rtol`; the expected clean image follows. Each image is solved by itself:
    solved together, the error of one would choose the steps of the others. `callback` is called at
    the end alone, and `noise` never.
    """
    x = x_T.clone()
    for i in range(len(x_T)):
        x[i] = _solve(model, process, x_T[i : i + 1], timesteps, method, atol, rtol)[0]
    x0 = x.clone()
    for i in range(len(x)):
        x0[i] = model(x[i : i + 1], float(timesteps[-1])).x0[0]
    if callback:
        callback(len(timesteps) - 1, float(timesteps[-1]), x, x0)
    return x0


def _solve(
    model: Model,
    process: SDE,
    x_T: Tensor,
    timesteps: Array,
    method: Literal["RK45", "RK23", "DOP853"],
    atol: float,
    rtol: float,
) -> Tensor:
    """Return the solution at the last time for one image x_T: 1×C×H×W."""
    from scipy.integrate import solve_ivp

    def slope(t: float, flat: Array) -> Array:
        x = x_T.new_tensor(flat).reshape(x_T.shape)
        dx = process.drift(t) * x - 0.5 * process.diffusion(t) ** 2 * model(x, t).score
        return np.asarray(dx.double().cpu()).ravel()

    start = np.asarray(x_T.double().cpu()).ravel()
    span = (float(timesteps[0]), float(timesteps[-1]))
    solution = solve_ivp(slope, span, start, method=method, atol=atol, rtol=rtol)
    return x_T.new_tensor(solution.y[:, -1]).reshape(x_T.shape)
