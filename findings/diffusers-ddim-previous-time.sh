#!/usr/bin/env bash
# diffusers 0.42.1 (0.38.0 too): DDIMScheduler.step goes back by T // steps, whatever the next of
# its own times is. With "trailing" and "linspace" this is the next time only where steps divides T
# ("linspace": never). With 600 steps of 1000 a step ends at t - 1, while the next one starts at
# t - 1 or t - 2: the state then holds more noise than the model is told, and data of standard
# deviation 0.2 end with 0.38, although the model is exact. DDPMScheduler looks the next time up and
# has no such error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import DDIMScheduler

for spacing in ("trailing", "linspace"):
    for steps, low, high in ((500, 0.19, 0.21), (600, 0.36, 0.39), (700, 0.30, 0.34)):
        scheduler = DDIMScheduler(timestep_spacing=spacing, clip_sample=False)
        scheduler.set_timesteps(steps)
        x = torch.randn(100_000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
        for t in scheduler.timesteps:
            a = scheduler.alphas_cumprod[t]
            eps = (1 - a).sqrt() * x / (a * 0.2**2 + 1 - a)  # exact for data N(0, 0.2²)
            x = scheduler.step(eps, t, x).prev_sample
        times = scheduler.timesteps.tolist()
        gaps = {a - b for a, b in zip(times, times[1:])}
        print(
            f"{spacing}, {steps} steps: gaps between times {gaps}, step goes back by "
            f"{1000 // steps}, standard deviation {float(x.std()):.3f} for 0.2"
        )
        assert low < float(x.std()) < high
PYTHON
