"""The classical Runge-Kutta method of fourth order."""

from __future__ import annotations

from typing import Literal

from benchmark.diffusion.samplers.runge_kutta import RungeKutta, Tableau

RK4 = Tableau(
    nodes=(1 / 2, 1 / 2, 1.0),
    shares=((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)


class RungeKutta4(RungeKutta):
    """Solves the probability-flow ODE with the classical Runge-Kutta method, in σ/α.

    Kutta 1901, as in Hairer et al. 1993, table 1.2. Each step takes four evaluations, two of them
    half-way between two levels; the last takes one and goes to σ = 0 by Euler's method.
    """

    paper = "[Hairer et al. 1993](https://doi.org/10.1007/978-3-540-78862-1), II.1, table 1.2"
    tableau = RK4
    kind: Literal["rk4"] = "rk4"
