"""DPM-Solver++ and its predictor-corrector form, UniPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.diffusion.processes import Array, Process, levels
from benchmark.diffusion.samplers.base import SAMPLERS, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.samplers.base import Callback, Model, Noise


@SAMPLERS.register("dpm-solver++", spacing="linspace")
def dpm_solver_pp_2m(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """Sample with DPM-Solver++(2M), Lu et al. 2022 (DPM-Solver++), algorithm 2.

    The first and the last step are of first order. `noise` is never called.
    """
    decay, gain = _first_order(process, timesteps)
    x, x0_before = x_T, x_T
    for i, (t, c_t, c_0, slope) in enumerate(
        rows(timesteps, decay, gain, _extrapolation(process, timesteps))
    ):
        x0 = model(x, t).x0
        if callback:
            callback(i, t, x, x0)
        x = blend(c_t, x, c_0 * (1 + slope), x0).add_(x0_before, alpha=-c_0 * slope)
        x0_before = x0
    return x


@SAMPLERS.register("unipc", spacing="linspace")
def unipc(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    noise: Noise,
    callback: Callback | None = None,
) -> Tensor:
    """Sample with UniPC-2, Zhao et al. 2023, in the data prediction.

    With B(h) = e^h - 1 its predictor is DPM-Solver++(2M). When the network has been evaluated at
    the predicted state, the step that led there is taken once more with the help of it, so that
    the order is 3 at no further evaluation. `noise` is never called.
    """
    decay, gain = _first_order(process, timesteps)
    backward, forward = _correction(process, timesteps)
    steps = rows(timesteps, decay, gain, _extrapolation(process, timesteps), backward, forward)
    x, start, x0_before, slope_before = x_T, x_T, x_T, x_T
    before = (0.0, 0.0, 0.0, 0.0)
    for i, (t, c_t, c_0, slope, c_b, c_f) in enumerate(steps):
        x0 = model(x, t).x0
        if callback:
            callback(i, t, x, x0)
        if i > 0:
            b_t, b_0, b_b, b_f = before
            x = blend(b_t, start, b_0 * (1 - b_f), x0_before)
            x.add_(slope_before, alpha=b_0 * b_b).add_(x0, alpha=b_0 * b_f)
        start, slope_before, before = x, x0 - x0_before, (c_t, c_0, c_b, c_f)
        x = blend(c_t, x, c_0, x0).add_(slope_before, alpha=c_0 * slope)
        x0_before = x0
    return x


def _first_order(process: Process, timesteps: Array) -> tuple[Array, Array]:
    """Return σ_t/σ_s and α_t (1 - e^{-h}), the factors of x_s and x̂_0."""
    alpha, sigma = levels(process, timesteps)
    decay = sigma[1:] / sigma[:-1]
    return decay, alpha[1:] - decay * alpha[:-1]


def _steps(process: Process, timesteps: Array) -> Array:
    """Return h, by how much λ = log α/σ grows in each step but the last, which is infinite."""
    return np.diff(np.log(process.alpha(timesteps) / process.sigma(timesteps)))


def _extrapolation(process: Process, timesteps: Array) -> Array:
    """Return 1/2r of the steps of second order, and 0 for those of first."""
    h = _steps(process, timesteps)
    inner = h[1:] / h[:-1] / 2
    return np.concatenate([[0.0], inner, [0.0]])[-len(timesteps) :]


def _correction(process: Process, timesteps: Array) -> tuple[Array, Array]:
    """Return the corrector's factors of x̂_0 - (the one before) and of (the next) - x̂_0.

    They solve the paper's R ρ = b for p = 2, and are 0 and ½ for p = 1 at the first step.
    """
    h = _steps(process, timesteps)
    B = np.expm1(-h)
    phi_1 = 1 / -h - 1 / B  # (e^{-h} - 1)/(-h) - 1, over B(h)
    phi_2 = 2 * (phi_1 / -h - 0.5 / B)
    r = np.append(np.nan, -h[:-1] / h[1:])
    rho_1 = (phi_1 - phi_2) / (1 - r)
    backward = np.where(np.isnan(r), 0.0, -rho_1 / r)
    forward = np.where(np.isnan(r), 0.5, phi_1 - rho_1)
    return np.append(backward, 0.0), np.append(forward, 0.0)
