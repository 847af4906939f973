"""DPM-Solver++ and UniPC: multistep solvers of the probability-flow ODE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process, levels
from benchmark.diffusion.samplers.base import SAMPLERS

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise

FinalSigma = Literal["zero", "sigma_min"]
SolverType = Literal["bh1", "bh2"]

FEW_STEPS = 15  # below which diffusers' DPM-Solver++ lowers the order of its last step
NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)  # of an integral over [-1, 1]


@SAMPLERS.register("dpm-solver++", spacing="linspace", drop_last=True)
def dpm_solver_pp_2m(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
    *,
    final_sigmas_type: FinalSigma = "zero",
    lower_order_final: bool = True,
) -> Tensor:
    """Sample with DPM-Solver++(2M), Lu et al. 2022 (DPM-Solver++), algorithm 2.

    The last step goes to the clean image, or to the least noise of the process with
    `final_sigmas_type: sigma_min`. The first step is of first order. So is one to the clean image,
    where no higher order is defined, and with `lower_order_final` the last of fewer than 15 steps.
    `noise` is never called.
    """
    steps = len(timesteps)
    orders = [min(i + 1, 2) for i in range(steps)]
    if final_sigmas_type == "zero" or (lower_order_final and steps < FEW_STEPS):
        orders[-1] = 1
    path = _Path(process, timesteps, final_sigmas_type, predict_x0=True, solver_type="bh2")
    predictors = [path.predictor(i, order) for i, order in enumerate(orders)]
    return _solve(model, x_T, timesteps, callback, predictors, [None] * steps, predict_x0=True)


@SAMPLERS.register("unipc", spacing="linspace", drop_last=True)
def unipc(  # noqa: PLR0913  as many options as the paper's code has
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
    *,
    solver_order: Annotated[int, Field(ge=1, le=4)] = 2,
    solver_type: SolverType = "bh2",
    predict_x0: bool = True,
    lower_order_final: bool = True,
    disable_corrector: tuple[Annotated[int, Field(ge=0)], ...] = (),
    final_sigmas_type: FinalSigma = "zero",
) -> Tensor:
    """Sample with UniPC-p, Zhao et al. 2023, algorithms 1 and 2; p is `solver_order`.

    When the network has been evaluated at the predicted state, the step that led there is taken
    once more with the help of it, so that the order is p + 1 at no further evaluation.
    `solver_type` is the paper's B(h): h or e^h - 1. `predict_x0` solves in the data, else in the
    noise prediction. `disable_corrector` names steps, from 0, that are not taken once more.

    The order rises from 1 in the first steps, and falls to 1 in the last ones with
    `lower_order_final`. Above 4 it is refused: with many steps, errors of formulas of high order
    grow from step to step. The last step goes to the clean image and is then of first order, as no
    higher one is defined, or to the least noise of the process with `final_sigmas_type: sigma_min`.
    `noise` is never called.
    """
    steps = len(timesteps)
    orders = [min(i + 1, solver_order) for i in range(steps)]
    if lower_order_final:
        orders = [min(order, steps - i) for i, order in enumerate(orders)]
    if final_sigmas_type == "zero":
        orders[-1] = 1
    path = _Path(process, timesteps, final_sigmas_type, predict_x0, solver_type)
    predictors = [path.predictor(i, order) for i, order in enumerate(orders)]
    correctors = [
        None if i in disable_corrector else path.corrector(i, order)
        for i, order in enumerate(orders[:-1])
    ]
    return _solve(model, x_T, timesteps, callback, predictors, [None, *correctors], predict_x0)


class _Step(NamedTuple):
    """A linear multistep formula, x_t = keep x_s + Σ factor m of predictions m.

    The factors are of the prediction at the step's beginning, of those before it, newest first,
    and in a corrector of that at its end.
    """

    keep: float
    factors: list[float]

    def __call__(self, x: Tensor, predictions: Iterable[Tensor]) -> Tensor:
        x = self.keep * x
        for factor, prediction in zip(self.factors, predictions, strict=True):
            x.add_(prediction, alpha=factor)
        return x


class _Path:
    """Noise levels along a grid of times, and the formulas of the steps between them.

    With a the factor that decays and b that of the prediction (σ and α in the data prediction, α
    and σ in the noise prediction), every step solves x_t = (a_t/a_s) x_s - b_t ∫ e^(z_t - z) m dz
    over z = log a/b, where m is a polynomial in z through the latest predictions.
    """

    def __init__(
        self,
        process: Process,
        timesteps: Array,
        final_sigmas_type: FinalSigma,
        predict_x0: bool,
        solver_type: SolverType,
    ) -> None:
        end = None if final_sigmas_type == "zero" else process.t_min
        alpha, sigma = levels(process, timesteps, end)
        self._a, self._b = (sigma, alpha) if predict_x0 else (alpha, sigma)
        with np.errstate(divide="ignore"):  # at the clean image z is infinite
            self._z = np.log(self._a) - np.log(self._b)
        self._solver_type = solver_type

    def predictor(self, i: int, order: int) -> _Step:
        """Return the formula of step `i` from the predictions at its beginning and before."""
        return self._step(i, order, [])

    def corrector(self, i: int, order: int) -> _Step:
        """Return the formula of step `i` that also takes the prediction at its end."""
        return self._step(i, order, [1.0])

    def _step(self, i: int, order: int, beyond: list[float]) -> _Step:
        keep = float(self._a[i + 1] / self._a[i])
        gain = float(self._b[i + 1] - keep * self._b[i])  # b_t (1 - e^h)
        h = self._z[i + 1] - self._z[i]
        if h == 0:  # the grid ends at the least noise: stay there
            return _Step(keep, [gain] + [0.0] * (order - 1 + len(beyond)))
        r = np.array([(self._z[i - k] - self._z[i]) / h for k in range(1, order)] + beyond)
        factors = -self._b[i + 1] * self._weights(h, r) / r
        return _Step(keep, [gain - float(factors.sum()), *factors.tolist()])

    def _weights(self, h: float, r: Array) -> Array:
        """Return B(h) ρ of Zhao et al. 2023, equation 11, for predictions at z_s + r h.

        B(h) drops out where R ρ = b is solved, as b has 1/B(h). For one prediction ρ is ½ instead.
        """
        if len(r) == 0:
            return r
        if len(r) == 1:
            return np.array([(h if self._solver_type == "bh1" else np.expm1(h)) / 2])
        k = np.arange(1, len(r) + 1)
        # k! h φ_{k+1}(h) as h ∫ e^((1-θ)h) θ^k dθ over [0, 1]. The recursion for φ would lose
        # digits at small h.
        theta = (NODES + 1) / 2
        moments = h / 2 * (WEIGHTS * np.exp((1 - theta) * h) * theta ** k[:, None]).sum(axis=1)
        return np.asarray(np.linalg.solve(r ** (k - 1)[:, None], moments))


def _solve(
    model: Model,
    x_T: Tensor,
    timesteps: Array,
    callback: Callback | None,
    predictors: list[_Step],
    correctors: list[_Step | None],
    predict_x0: bool,
) -> Tensor:
    """Take all steps; a corrector is of the step that led to the state of its index."""
    before: list[Tensor] = []  # predictions, newest first
    x = start = x_T
    longest = max(len(step.factors) for step in predictors)
    for i, (t, predict, correct) in enumerate(
        zip(timesteps.tolist(), predictors, correctors, strict=True)
    ):
        estimate = model(x, t)
        if callback:
            callback(i, t, x, estimate.x0)
        prediction = estimate.x0 if predict_x0 else estimate.eps
        if correct:
            x = correct(start, [*before[: len(correct.factors) - 1], prediction])
        before = [prediction, *before][:longest]
        start, x = x, predict(x, before[: len(predict.factors)])
    return x
