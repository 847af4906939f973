#!/usr/bin/env bash
# diffusers 0.42.1: DDPMScheduler(variance_type="learned") takes the second half of a network's
# channels for the variance itself. In the code of Nichol and Dhariwal 2021 (LEARNED of
# improved-diffusion) they are its logarithm, which is below 0: diffusers then takes the root of a
# negative number, and every such pixel becomes NaN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import math

import torch
from diffusers import DDPMScheduler

x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
spread = {}
for meant, channels in (("variance", 0.01), ("logarithm", math.log(0.01))):
    scheduler = DDPMScheduler(variance_type="learned", clip_sample=False)
    output = torch.cat([torch.zeros_like(x), torch.full_like(x, channels)], 1)
    generator = torch.Generator().manual_seed(1)
    found = scheduler.step(output, 500, x, generator).prev_sample
    mean = x / (scheduler.alphas[500]) ** 0.5  # of a network that sees no noise
    spread[meant] = float((found - mean).std())
    print(f"channels that are the {meant} of 0.01: standard deviation {spread[meant]}")
assert abs(spread["variance"] - 0.1) < 0.01
assert math.isnan(spread["logarithm"])
PYTHON
