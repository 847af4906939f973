"""What multistep solvers share: their formulas for the probability-flow ODE, and their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.processes.base import Array, Process, levels
from benchmark.diffusion.samplers.base import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate
    from benchmark.diffusion.samplers.base import Callback, Model

FinalSigma = Literal["zero", "sigma_min"]
SolverType = Literal["bh1", "bh2"]

FEW_STEPS = 15  # below which diffusers lowers the order of the last steps

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)  # of an integral over [-1, 1]


class Multistep(Sampler):
    """A sampler with an option for the order of its steps.

    Early steps are of the order for which there are predictions. The default, too, is lowered where
    there are fewer steps; an order that a config states must be reached.
    """

    solver_order: int

    @property
    def unstated(self) -> set[str]:
        """Return the order, if it is the default."""
        return {"solver_order"} - self.model_fields_set

    def plan(self, process: Process, steps: int) -> Array:
        """Return the times of the steps, of shape (N,); see `Sampler.plan`.

        Raises:
            BenchmarkError: the stated order is above the number of steps, or as in `Sampler.plan`.
        """
        if "solver_order" not in self.unstated and 1 <= steps < self.solver_order:
            raise BenchmarkError(
                f"steps: {steps} do not reach the solver_order {self.solver_order} of {self.kind}: "
                f"take at least {self.solver_order}, or solver_order: {steps}"
            )
        return super().plan(process, steps)


class Ending(Sampler):
    """A sampler whose last step goes to the clean image, or to the least noise."""

    usual_spacing = "linspace"
    drop_last = True
    final_sigmas_type: FinalSigma = Field(
        default="zero",
        description="zero: the last step goes to the clean image; sigma_min: to the least noise",
    )

    def plan(self, process: Process, steps: int) -> Array:
        """Return the times of the steps, of shape (N,); see `Sampler.plan`.

        Raises:
            BenchmarkError: the last time is below that of the least noise, or as in `Sampler.plan`.
        """
        times = super().plan(process, steps)
        if self.final_sigmas_type == "sigma_min" and times[-1] < process.t_min:
            raise BenchmarkError(
                f"steps: the last of {steps} times is {times[-1]:.3g}, from which {self.kind} "
                f"cannot go down to the schedule's t_end, {process.t_min:.3g}: take fewer steps, a "
                "lower t_end, or final_sigmas_type: zero"
            )
        return times


class Formula(NamedTuple):
    """A linear multistep formula, x_t = keep x_s + Σ factor m of predictions m.

    A step from α = 0, where the noise says nothing of the image, is of x̂_0 alone.

    Attributes:
        keep: the factor of the state at the step's beginning.
        factors: of the prediction at the step's beginning, of those before it, newest first, and in
            a corrector of that at its end.
        of_x0: whether its one prediction is x̂_0, whatever the others are.
    """

    keep: float
    factors: list[float]
    of_x0: bool = False

    def __call__(self, x: Tensor, predictions: Iterable[Tensor]) -> Tensor:
        """Return the state at the step's end from that at its beginning, x, and predictions."""
        x = self.keep * x
        for factor, prediction in zip(self.factors, predictions, strict=True):
            x.add_(prediction, alpha=factor)
        return x


class Path:
    """Noise levels along a grid of times, and the formulas of the steps between them.

    With a the factor that decays and b that of the prediction (σ and α in the data prediction, α
    and σ in the noise prediction), every step solves x_t = (a_t/a_s) x_s - b_t ∫ e^(z_t - z) m dz
    over z = log a/b, where m is a polynomial in z through the latest predictions (Lu et al. 2022,
    DPM-Solver++, proposition 4.1).

    Args:
        process: gives α and σ.
        timesteps: N descending times.
        final_sigmas_type: `zero`: the last step goes to the clean image; `sigma_min`: to the least
            noise of the process.
        predict_x0: whether the predictions are x̂_0, or ε̂.
        solver_type: B(h) of UniPC: h (`bh1`), or e^h - 1 (`bh2`); `exact`: formulas of two
            predictions integrate their polynomial too, as those of more do anyway.
    """

    def __init__(
        self,
        process: Process,
        timesteps: Array,
        final_sigmas_type: FinalSigma,
        predict_x0: bool,
        solver_type: SolverType | Literal["exact"],
    ) -> None:
        end = None if final_sigmas_type == "zero" else process.t_min
        self._alpha, self._sigma = alpha, sigma = levels(process, timesteps, end)
        self._a, self._b = (sigma, alpha) if predict_x0 else (alpha, sigma)
        with np.errstate(divide="ignore"):  # at the clean image, and at α = 0, z is infinite
            self._z = np.log(self._a) - np.log(self._b)
        self._predict_x0, self._solver_type = predict_x0, solver_type

    def predicted(self, estimate: Estimate) -> Tensor:
        """Return the prediction of which the formulas are: B×C×H×W."""
        return estimate.x0 if self._predict_x0 else estimate.eps

    def predictor(self, i: int, order: int) -> Formula:
        """Return the formula of step `i` from the predictions at its beginning and before."""
        return self._step(i, order, [])

    def corrector(self, i: int, order: int) -> Formula | None:
        """Return the formula of step `i` that also takes the prediction at its end.

        None for a step from α = 0, in which no polynomial in z is defined.
        """
        return self._step(i, order, [1.0]) if self._alpha[i] else None

    def _step(self, i: int, order: int, beyond: list[float]) -> Formula:
        """Return the formula from predictions at z_s + r h; `beyond`: r of those not before it.

        A prediction at α = 0 is infinitely far away: the polynomial is one through the others.
        """
        if not self._alpha[i]:
            return Formula(
                float(self._sigma[i + 1] / self._sigma[i]), [float(self._alpha[i + 1])], of_x0=True
            )
        keep = float(self._a[i + 1] / self._a[i])
        gain = float(self._b[i + 1] - keep * self._b[i])  # b_t (1 - e^h)
        h = self._z[i + 1] - self._z[i]
        if h == 0:  # the grid ends at the least noise: stay there
            return Formula(keep, [gain] + [0.0] * (order - 1 + len(beyond)))
        r = np.array([(self._z[i - k] - self._z[i]) / h for k in range(1, order)] + beyond)
        near = np.isfinite(r)
        factors = np.zeros(len(r))
        factors[near] = -self._b[i + 1] * self._weights(h, r[near]) / r[near]
        return Formula(keep, [gain - float(factors.sum()), *factors.tolist()])

    def _weights(self, h: float, r: Array) -> Array:
        """Return B(h) ρ of Zhao et al. 2023, equation 11, for predictions at z_s + r h.

        B(h) drops out where R ρ = b is solved, as b has 1/B(h). For one prediction ρ is ½ instead,
        but for the solver type `exact`.
        """
        if len(r) == 0:
            return r
        if len(r) == 1 and self._solver_type != "exact":
            return np.array([(h if self._solver_type == "bh1" else np.expm1(h)) / 2])
        k = np.arange(1, len(r) + 1)
        # k! h φ_{k+1}(h) as h ∫ e^((1-θ)h) θ^k dθ over [0, 1]. The recursion for φ would lose
        # digits at small h.
        theta = (NODES + 1) / 2
        moments = h / 2 * (WEIGHTS * np.exp((1 - theta) * h) * theta ** k[:, None]).sum(axis=1)
        return np.asarray(np.linalg.solve(r ** (k - 1)[:, None], moments))


def orders(steps: int, most: int, lower_final: bool, final_sigmas_type: FinalSigma) -> list[int]:
    """Return the order of each step.

    The first steps are of the order for which there are predictions. One to the clean image, where
    log σ/α is infinite, is of first order.

    Args:
        steps: their number.
        most: the order of the steps between.
        lower_final: whether the order falls towards the end, to 1 in the last step.
        final_sigmas_type: where the last step goes.
    """
    found = [min(i + 1, most) for i in range(steps)]
    if lower_final:
        found = [min(order, steps - i) for i, order in enumerate(found)]
    if final_sigmas_type == "zero":
        found[-1] = 1
    return found


def solve(
    model: Model,
    x_T: Tensor,
    timesteps: Array,
    callback: Callback | None,
    predictors: list[Formula],
    predicted: Callable[[Estimate], Tensor],
    correctors: list[Formula | None] | None = None,
) -> Tensor:
    """Return x_0: B×C×H×W, once all steps are taken.

    Args:
        model: evaluates the network once on x: B×C×H×W at time t.
        x_T: B×C×H×W.
        timesteps: N descending times.
        callback: called with (i, t, x_t, x̂_0) at each step.
        predictors: the formula of each step.
        predicted: what of an estimate the formulas are of: x̂_0, ε̂ or a slope.
        correctors: by which the step that led to the state of their index is taken once more, when
            the prediction there is known; None: it is not. Left out: no step is.
    """
    correctors = correctors or [None] * len(predictors)
    before: list[Tensor] = []  # predictions, newest first
    x = start = x_T
    longest = max(len(step.factors) for step in predictors)
    for i, (t, predict, correct) in enumerate(
        zip(timesteps.tolist(), predictors, correctors, strict=True)
    ):
        estimate = model(x, t)
        if callback:
            callback(i, t, x, estimate.x0)
        prediction = predicted(estimate)
        if correct:
            x = correct(start, [*before[: len(correct.factors) - 1], prediction])
        before = [prediction, *before][:longest]
        used = [estimate.x0] if predict.of_x0 else before[: len(predict.factors)]
        start, x = x, predict(x, used)
    return x
