"""The state of the machine during a job: what else uses it, and the clock of its GPU."""

from __future__ import annotations

from functools import partial

import torch

from benchmark.core.nvml import ask_gpu
from benchmark.records.contention import ContentionMonitor, GpuUse
from benchmark.runtime.device import gpu_uuid

# NVML's names of the bits that say why a clock is lowered, without that of an idle GPU.
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


def monitor_machine(device: torch.device, root: int | None = None) -> ContentionMonitor:
    """Return a monitor that observes from now on what else uses the machine of a job.

    Args:
        device: the device that does the job's work.
        root: the process that does the job together with its descendants; None: this process.
    """
    return ContentionMonitor(root, partial(gpu_use, device) if device.type == "cuda" else None)


def gpu_state(device: torch.device) -> tuple[float | None, list[str] | None]:
    """Return the clock of a GPU in MHz, and the reasons why it is lowered; None: unknown."""
    if device.type != "cuda":
        return None, None
    uuid = gpu_uuid(device)
    clock = ask_gpu(uuid, lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM))
    bits = ask_gpu(uuid, lambda nvml, gpu: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
    held = None if bits is None else [name for bit, name in THROTTLES.items() if bits & bit]
    return clock, held


def gpu_use(device: torch.device) -> GpuUse:
    """Return the share of time in which a GPU was just used, and how many other processes use it.

    In a container, NVML may list processes with other ids than they have there, but one of them is
    this process. If it lists none, the number of others is unknown.
    """
    uuid = gpu_uuid(device)
    percent = ask_gpu(uuid, lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
    count = ask_gpu(uuid, lambda nvml, gpu: len(nvml.nvmlDeviceGetComputeRunningProcesses(gpu)))
    return GpuUse(
        used=None if percent is None else percent / 100,
        others=count - 1 if count else None,
    )
