#!/usr/bin/env bash
# diffusers 0.42.1: PNDMScheduler's Runge-Kutta steps, its first three by default, lose all digits on
# the cosine schedule (beta_schedule="squaredcos_cap_v2") where the times begin at the last one, with
# timestep_spacing "trailing" or "linspace": sigma/alpha falls by a factor of hundreds in the first
# step, and each stage multiplies the error of the one before by as much. With an exact model of
# Gaussian data of deviation 0.3, 50 steps end with a deviation above 50. With skip_prk_steps=True, or
# with "leading", which begins below the last time, they end with 0.30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import PNDMScheduler

DEVIATION = 0.3


def deviation_after(steps, **options):
    """The deviation of samples, as the end of the one that begins with 1: all steps are linear."""
    scheduler = PNDMScheduler(
        beta_schedule="squaredcos_cap_v2", set_alpha_to_one=True, **options
    )
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.set_timesteps(steps)
    x = torch.ones(1, 1, dtype=torch.float64)
    for t in scheduler.timesteps:
        alpha_bar = scheduler.alphas_cumprod[t]
        variance = alpha_bar * DEVIATION**2 + 1 - alpha_bar
        eps = (1 - alpha_bar) ** 0.5 / variance * x  # the expected noise
        x = scheduler.step(eps, t, x).prev_sample
    return abs(float(x))


for spacing in ("trailing", "linspace", "leading"):
    for skip in (False, True):
        found = deviation_after(50, timestep_spacing=spacing, skip_prk_steps=skip)
        print(f"{spacing}, skip_prk_steps={skip}: deviation {found:.4f} for {DEVIATION}")
        if skip or spacing == "leading":
            assert abs(found - DEVIATION) < 0.02
        else:
            assert found > 50
PYTHON
