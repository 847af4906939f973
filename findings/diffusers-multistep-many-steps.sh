#!/usr/bin/env bash
# diffusers 0.42.1 (0.38.0 too): DPMSolverMultistepScheduler and UniPCMultistepScheduler space
# steps + 1 times and leave out the last. Near as many steps as there are times, T = 1000:
# - "linspace", 1000 steps: one time stands twice, the step between the two has length 0, and the
#   next one divides by it: every pixel is NaN (999 steps: fine);
# - "leading" rounds the stride T // (steps + 1) down: 499 steps begin at t = 998, 500 at t = 500,
#   and 1000 steps are 1000 times t = 0;
# - "leading", 1 step: the noise is taken for an image of t = 500.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

for kind in (DPMSolverMultistepScheduler, UniPCMultistepScheduler):
    scheduler = kind(timestep_spacing="linspace")
    for steps, fine in ((999, True), (1000, False)):
        scheduler.set_timesteps(steps)
        x = torch.randn(1000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
        for t in scheduler.timesteps:
            a = scheduler.alphas_cumprod[t]
            eps = (1 - a).sqrt() * x / (a * 0.2**2 + 1 - a)  # exact for data N(0, 0.2²)
            x = scheduler.step(eps, t, x).prev_sample
        different = len(set(scheduler.timesteps.tolist()))
        finite = float(x.isfinite().double().mean())
        print(
            f"{kind.__name__}, linspace, {steps} steps: {different} different times, "
            f"{finite:.0%} of the values are finite"
        )
        assert finite == (1 if fine else 0) and different == 999
    scheduler = kind(timestep_spacing="leading")
    for steps, first in ((1, 500), (499, 998), (500, 500), (600, 600), (1000, 0)):
        scheduler.set_timesteps(steps)
        print(f"{kind.__name__}, leading, {steps} steps: first time {scheduler.timesteps[0]}")
        assert scheduler.timesteps[0] == first
PYTHON
