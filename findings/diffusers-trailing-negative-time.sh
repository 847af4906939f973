#!/usr/bin/env bash
# diffusers 0.42.1 (0.38.0 too): timestep_spacing="trailing" counts down from T by T / steps in
# floating point. For 62 of the 1000 possible numbers of steps of 1000 times, rounding leaves one
# number more, and the last time is t = -1. set_timesteps(61) makes 62 times. The step at t = -1
# takes the noise level of the *noisiest* time, alphas_cumprod[-1], for a clean image: with an exact
# model of data of standard deviation 0.2, DDIM ends with 0.00005. The same times come from DDPM,
# DPM-Solver++, UniPC, Euler and Heun.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

for kind in (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
):
    scheduler = kind(timestep_spacing="trailing")
    below = []
    for steps in range(1, 1001):
        scheduler.set_timesteps(steps)
        if scheduler.timesteps.min() < 0:
            below.append(steps)
    print(f"{kind.__name__}: {len(below)} of 1000 numbers of steps reach t = -1: {below[:5]} …")
    assert len(below) == 62 and below[0] == 61

# Exact predictions for data N(0, 0.2²), so that every sampler should end with 0.2.
ends = {}
for steps in (60, 61, 62):
    scheduler = DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
    scheduler.set_timesteps(steps)
    x = torch.randn(100_000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    for t in scheduler.timesteps:
        a = scheduler.alphas_cumprod[t]
        eps = (1 - a).sqrt() * x / (a * 0.2**2 + 1 - a)
        x = scheduler.step(eps, t, x).prev_sample
    ends[steps] = float(x.std())
    print(f"DDIM, {steps} steps: standard deviation {ends[steps]:.5f} for 0.2")
assert ends[60] > 0.17 and ends[62] > 0.17 and ends[61] < 0.001
PYTHON
