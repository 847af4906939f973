"""What a machine tells of itself while it works: what else uses it, and the clock of its GPU."""

from __future__ import annotations

from functools import partial

import torch

from benchmark.core.nvml import ask_gpu
from benchmark.records.contention import GpuUse, Watch
from benchmark.runtime.device import gpu_uuid

# NVML's names of the bits that say why a clock is held back. Being idle holds nothing back.
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
    uuid = gpu_uuid(device)
    clock = ask_gpu(uuid, lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM))
    bits = ask_gpu(uuid, lambda nvml, gpu: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
    held = None if bits is None else [name for bit, name in THROTTLES.items() if bits & bit]
    return clock, held


def gpu_use(device: torch.device) -> GpuUse:
    """Return how much of its time a GPU was used just now, and how many others are on it.

    A container may see other numbers of processes than NVML, but one of them is this process; where
    none is told, nothing is known.
    """
    uuid = gpu_uuid(device)
    percent = ask_gpu(uuid, lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
    count = ask_gpu(uuid, lambda nvml, gpu: len(nvml.nvmlDeviceGetComputeRunningProcesses(gpu)))
    return GpuUse(
        used=None if percent is None else percent / 100,
        others=count - 1 if count else None,
    )
