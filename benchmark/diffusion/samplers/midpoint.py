"""The midpoint method of second order."""

from __future__ import annotations

from typing import Literal

from benchmark.diffusion.samplers.runge_kutta import RungeKutta, Tableau

# x' = x + h d(x + h/2 d): the slope at the step's beginning counts for the way to its middle alone.
MIDPOINT = Tableau((1 / 2,), ((1 / 2,),), (0.0, 1.0))


class Midpoint(RungeKutta):
    """Solves the probability-flow ODE by the slope in the middle of each step.

    Karras et al. 2022, algorithm 3 with α = ½ and without noise, in σ/α. Each step takes two
    evaluations, the second half-way between two levels; the last takes one and goes to σ = 0 by
    Euler's method.
    """

    paper = "[Karras et al. 2022](https://arxiv.org/abs/2206.00364), algorithm 3, α = ½"
    tableau = MIDPOINT
    kind: Literal["midpoint"] = "midpoint"
