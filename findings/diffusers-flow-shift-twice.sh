#!/usr/bin/env bash
# diffusers 0.42.1: FlowMatchEulerDiscreteScheduler and FlowMatchHeunDiscreteScheduler apply their
# shift twice to the last time. The least of the 1000 levels, 0.001, is moved when the scheduler is
# made; set_timesteps spaces times evenly from 1 down to the moved one, and moves all of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
from diffusers import FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler

shift = 3.0


def moved(t: float) -> float:
    return shift * t / (1 + (shift - 1) * t)


for kind in (FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler):
    scheduler = kind(shift=shift)
    scheduler.set_timesteps(10)
    last = float(scheduler.sigmas[-2])
    print(f"{kind.__name__}: 0.001 moved {moved(0.001):.6f}, twice {moved(moved(0.001)):.6f}, last {last:.6f}")
    assert abs(last - moved(moved(0.001))) < 1e-6
PYTHON
