"""Heun's method of second order."""

from __future__ import annotations

from typing import Literal

from benchmark.diffusion.samplers.runge_kutta import RungeKutta, Tableau

HEUN = Tableau((1.0,), ((1.0,),), (1 / 2, 1 / 2))  # algorithm 1, lines 5, 7 and 8


class Heun(RungeKutta):
    """Solves the probability-flow ODE with Heun's method, Karras et al. 2022, algorithm 1.

    In the variables x/α and σ/α every process is a VE one with dx/dσ = ε, equation 4. Each step
    takes two evaluations but for the last, which goes to σ = 0 by Euler's method. Its times lie
    between the levels, of which a network of discrete VE noise knows nothing.
    """

    paper = "[Karras et al. 2022](https://arxiv.org/abs/2206.00364), algorithm 1"
    tableau = HEUN
    kind: Literal["heun"] = "heun"
