#!/usr/bin/env bash
# torch 2.15.0 on a CPU: group normalisation of images in channels_last, with few channels a group,
# takes several times as long in bfloat16 as in float32, also where the conversion to float32 and
# back is counted. Under torch.autocast("cpu") it gets the bfloat16 that a convolution returns and
# computes in it, while on a GPU autocast has it compute in float32. So with autocast a third of the
# time of a small U-Net goes into its norms. Seen on an Intel Xeon with AMX: 245 µs in bfloat16, 33
# in float32, 47 with the conversions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import time

import torch

torch.set_num_threads(1)
BF16 = torch.bfloat16


def microseconds(work, x):
    times = []
    for _ in range(60):
        start = time.perf_counter()
        work(x)
        times.append(time.perf_counter() - start)
    return min(times) * 1e6


norm = torch.nn.GroupNorm(8, 48).requires_grad_(False)
rough = torch.nn.GroupNorm(8, 48, dtype=BF16).requires_grad_(False)
x = torch.randn(16, 48, 8, 8).contiguous(memory_format=torch.channels_last)
with torch.inference_mode():
    as_it_is = microseconds(rough, x.to(BF16))
    by_float = microseconds(lambda x: norm(x.float()).to(BF16), x.to(BF16))
    exact = microseconds(norm, x)
    with torch.autocast("cpu", BF16):
        kept = norm(x.to(BF16)).dtype
print(f"bfloat16 {as_it_is:.0f} µs, by float32 and back {by_float:.0f}, float32 {exact:.0f}")
print(f"under autocast the norm of bfloat16 is {kept}")
assert as_it_is > 2 * by_float
assert kept == BF16
PYTHON
