#!/usr/bin/env bash
# diffusers 0.42.1: DPMSolverMultistepScheduler with solver_order=3 ("3M") is of order 2. Its step goes
# by a parabola through the last three predictions of x_0, but its term of the second derivative has
# half the size that the integral of the parabola gives: what it calls D2 is the second divided
# difference, which is half of the second derivative, times the factor of the whole one. The formula
# is that of the authors' code, which others share. Predictions that are straight lines in
# log alpha/sigma are integrated exactly; of parabolas the error falls with the cube of the step
# within one step, so with its square over all of them, and it is gone when D2 is doubled.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler

SPAN, END = 2.0, 1.0  # log alpha/sigma rises by 2, to 1
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def scheduler_of(steps):
    """A scheduler whose noise levels are even in log alpha/sigma, from -1 to 1."""
    found = DPMSolverMultistepScheduler(
        solver_order=3, lower_order_final=False, final_sigmas_type="sigma_min"
    )
    found.set_timesteps(steps)
    found.sigmas = torch.tensor(np.exp(-np.linspace(END - SPAN, END, steps + 1)))  # sigma/alpha
    found.set_begin_index(0)
    return found


def error(steps, prediction, double=False):
    """The error of the state after all steps, of which the first two are taken exactly."""
    scheduler = scheduler_of(steps)
    lam = -scheduler.sigmas.log().numpy()
    alpha = 1 / np.sqrt(1 + np.exp(-2 * lam))
    sigma = alpha * np.exp(-lam)
    x = exact = torch.zeros(1, dtype=torch.float64)
    for i, t in enumerate(scheduler.timesteps):
        middle, half = (lam[i + 1] + lam[i]) / 2, (lam[i + 1] - lam[i]) / 2
        at = middle + half * NODES
        integral = half * float((WEIGHTS * np.exp(at) * prediction(at)).sum())
        exact = sigma[i + 1] * (exact / sigma[i] + integral)
        eps = (x - alpha[i] * prediction(lam[i])) / sigma[i]  # so that x_0 is the prediction
        x = scheduler.step(eps, t, x).prev_sample
        if i < 2:
            x = exact.clone()
        elif double:
            # what is missing: once more the term of D2, by the scheduler's own formula
            h = lam[i + 1] - lam[i]
            m = [prediction(lam[i - k]) for k in range(3)]
            d2 = (m[0] - 2 * m[1] + m[2]) / 2
            x = x - alpha[i + 1] * ((np.expm1(-h) + h) / h**2 - 0.5) * d2
    return float((x - exact).abs())


line = lambda z: 0.3 - 0.2 * z
parabola = lambda z: line(z) + 0.5 * z**2
for name, curve, double in (
    ("a straight line", line, False),
    ("a parabola", parabola, False),
    ("a parabola, D2 doubled", parabola, True),
):
    errors = [error(steps, curve, double) for steps in (10, 20, 40, 80)]
    orders = [np.log2(a / b) for a, b in zip(errors, errors[1:])]
    print(f"{name}: errors {', '.join(f'{e:.1e}' for e in errors)}")
    if curve is parabola and not double:
        print("  orders", ", ".join(f"{order:.2f}" for order in orders))
        assert errors[0] > 1e-4
        assert all(1.8 < order < 2.2 for order in orders[1:])
    else:
        assert max(errors) < 1e-6  # the scheduler computes in single precision
PYTHON
