"""What a machine tells of itself while it works: what else uses it, and the clock of its GPU."""

from __future__ import annotations

import subprocess
from functools import partial

import torch

from benchmark.records.contention import GpuUse, Watch
from benchmark.runtime.device import gpu_uuid

QUERY = "clocks.sm,clocks_throttle_reasons.active"
USED = "utilization.gpu"
PROCESSES = "pid"

# NVML's names of the bits of clocks_throttle_reasons.active. Being idle holds nothing back.
THROTTLES = {
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}


def watch_machine(device: torch.device, root: int | None = None) -> Watch:
    """Return what watches from now on what else uses the machine of a job.

    Args:
        device: that does the work.
        root: the process whose work, and that of all that it starts, is the job's; None: this one.
    """
    return Watch(root, partial(gpu_use, device) if device.type == "cuda" else None)


def gpu_state(device: torch.device) -> tuple[float | None, list[str] | None]:
    """Return the clock of a GPU in MHz and why it is held back; None each: it is not told."""
    if device.type != "cuda":
        return None, None
    return parse_gpu_state(_nvidia_smi(device, f"--query-gpu={QUERY}"))


def gpu_use(device: torch.device) -> GpuUse:
    """Return how much of its time a GPU was used just now, and how many others are on it."""
    return parse_gpu_use(
        _nvidia_smi(device, f"--query-gpu={USED}"),
        _nvidia_smi(device, f"--query-compute-apps={PROCESSES}"),
    )


def parse_gpu_use(used: str, processes: str) -> GpuUse:
    """Read nvidia-smi's two answers, as `12 %`, and a line with the number of each process.

    A container may see other numbers of processes than nvidia-smi, but one of them is this process;
    where none is told, nothing is known.
    """
    percent = used.strip().removesuffix(" %")
    count = sum(line.strip().isdigit() for line in processes.splitlines())
    return GpuUse(
        used=int(percent) / 100 if percent.isdigit() else None,
        others=count - 1 if count else None,
    )


def _nvidia_smi(device: torch.device, query: str) -> str:
    """Return the answer to a question about a GPU; empty: there is none."""
    command = ["nvidia-smi", "-i", gpu_uuid(device), query, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def parse_gpu_state(text: str) -> tuple[float | None, list[str] | None]:
    """Read nvidia-smi's answer, as `1980 MHz, 0x0000000000000004`; what is no figure is None."""
    clock, _, mask = text.strip().partition(",")
    try:
        megahertz = float(clock.removesuffix(" MHz"))
    except ValueError:
        megahertz = None
    try:
        bits = int(mask, 16)
    except ValueError:
        return megahertz, None
    return megahertz, [name for bit, name in THROTTLES.items() if bits & bit]
