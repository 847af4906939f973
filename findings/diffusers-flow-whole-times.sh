#!/usr/bin/env bash
# diffusers 0.42.1: with use_flow_sigmas, the multistep solvers cut the times that a network of flow
# matching is told to whole ones, of 1000. The noise level of the state is not cut, so the two differ
# by up to 1/1000. FlowMatchEulerDiscreteScheduler tells the network the time of the noise level.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
uv venv --quiet --python 3.11 "$folder/venv"
uv pip install --quiet --python "$folder/venv/bin/python" diffusers==0.42.1 torch==2.15.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import diffusers

said = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
off = {}
for name in ("DPMSolverMultistep", "DEISMultistep", "UniPCMultistep", "FlowMatchEulerDiscrete"):
    scheduler = getattr(diffusers, name + "Scheduler")(**(said if "Multistep" in name else {}))
    scheduler.set_timesteps(7)
    levels = 1000 * scheduler.sigmas[:-1]
    off[name] = float((levels - scheduler.timesteps).max())
    print(f"{name}: noise level {levels[1]:.3f} of 1000, time {scheduler.timesteps[1]}")
assert off.pop("FlowMatchEulerDiscrete") == 0
assert min(off.values()) > 0.5
PYTHON
