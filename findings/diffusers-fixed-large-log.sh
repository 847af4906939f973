#!/usr/bin/env bash
# diffusers 0.42.1: DDPMScheduler(variance_type="fixed_large_log"), one of the six values that its
# documentation names, gives NaN in every pixel of every step that adds noise. The scheduler takes
# the logarithm of the variance β_t < 1 and then, as for fixed_large, its square root: that of a number
# below 0. fixed_small_log has a branch of its own and equals fixed_small; fixed_large_log has none.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv -q --python 3.11 "$folder/env"
uv pip install -q --python "$folder/env/bin/python" diffusers==0.42.1 torch==2.15.0 numpy

"$folder/env/bin/python" - <<'PYTHON'
import torch
from diffusers import DDPMScheduler

steps = {}
for variance in ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"):
    scheduler = DDPMScheduler(variance_type=variance)
    scheduler.set_timesteps(10)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, 3, 8, 8), generator=generator)
    x = scheduler.step(torch.zeros_like(x), scheduler.timesteps[0], x, generator).prev_sample
    steps[variance] = x
    print(f"{variance:16} NaN in {int(x.isnan().sum())} of {x.numel()} pixels, sum {float(x.sum()):.4f}")

assert torch.allclose(steps["fixed_small"], steps["fixed_small_log"], atol=1e-5)
assert steps["fixed_large"].isfinite().all()
assert steps["fixed_large_log"].isnan().all(), "the behaviour has changed"
PYTHON
