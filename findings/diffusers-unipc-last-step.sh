#!/usr/bin/env bash
# diffusers 0.42.1 (0.38.0 too): with its default final_sigmas_type="zero", UniPCMultistepScheduler
# cannot finish with three of its documented options. The last step is one of infinite length in
# log(alpha/sigma), and multiplies 0 with infinity:
# - solver_type="bh1" (advised for fewer than 10 steps): every pixel is NaN;
# - predict_x0=False: every pixel is NaN;
# - lower_order_final=False: infinite or NaN with solver_order 2; with 3 the linear system of the
#   last step is singular, and torch.linalg.solve raises an error.
# All other states are finite. final_sigmas_type="sigma_min" avoids all of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import UniPCMultistepScheduler


def last(**options):
    scheduler = UniPCMultistepScheduler(**options)
    scheduler.set_timesteps(10)
    x = torch.randn(1000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    for i, t in enumerate(scheduler.timesteps):
        assert x.isfinite().all(), i
        a = scheduler.alphas_cumprod[t]
        eps = (1 - a).sqrt() * x / (a * 0.2**2 + 1 - a)  # exact for data N(0, 0.2²)
        x = scheduler.step(eps, t, x).prev_sample
    return x


assert last().isfinite().all()
for options in ({"solver_type": "bh1"}, {"predict_x0": False}, {"lower_order_final": False}):
    x = last(**options)
    finite = float(x.isfinite().double().mean())
    print(f"{options}: {finite:.0%} of the values are finite after the last of 10 steps")
    assert finite == 0
    assert last(**options, final_sigmas_type="sigma_min").isfinite().all()
try:
    last(lower_order_final=False, solver_order=3)
except RuntimeError as error:
    print(f"lower_order_final=False, solver_order=3: {type(error).__name__}: {error}")
else:
    raise SystemExit("lower_order_final=False, solver_order=3: no error any more")
PYTHON
