"""How long the batches of a job take, and the energy that they need."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmark.core.nvml import ask_gpu
from benchmark.runtime.device import gpu_uuid, synchronise

RAPL = Path("/sys/class/powercap")


class BatchTimes:
    """Times pieces of work on a device, which is synchronised before a clock is read.

    Attributes:
        seconds: of each lap.
        parts: the seconds of each lap's parts, which `mark` divides; a GPU is not synchronised
            between them.
        joules: of all laps; None: the machine does not tell.
    """

    def __init__(self, device: torch.device, rapl: Path = RAPL) -> None:
        self.seconds: list[float] = []
        self.parts: list[list[float]] = []
        self._clock = _GpuClock(device) if device.type == "cuda" else _Clock()
        self._device = device
        self._counters = _gpu_counters(device) if device.type == "cuda" else _packages(rapl)
        self.joules: float | None = 0.0 if self._counters else None

    @contextmanager
    def lap(self) -> Iterator[None]:
        """Measure the block."""
        synchronise(self._device)
        before = [read() for read, _ in self._counters]
        self._clock.start()
        start = time.perf_counter()
        yield
        self.mark()
        synchronise(self._device)
        self.seconds.append(time.perf_counter() - start)
        self.parts.append(self._clock.differences())
        if self.joules is not None:
            for (read, wraps_at), first in zip(self._counters, before, strict=True):
                self.joules += (read() - first) % wraps_at

    def mark(self) -> None:
        """End a part of the lap and begin the next."""
        self._clock.mark()


class _Clock:
    """Takes times of a processor."""

    def __init__(self) -> None:
        self._marks: list[float] = []

    def start(self) -> None:
        self._marks.clear()
        self.mark()

    def mark(self) -> None:
        self._marks.append(time.perf_counter())

    def differences(self) -> list[float]:
        """Return the seconds from each mark to the next."""
        return [after - before for before, after in itertools.pairwise(self._marks)]


class _GpuClock:
    """Takes times of a GPU, on which marks are events between what it was asked to do."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[torch.cuda.Event] = []

    def start(self) -> None:
        self._marks.clear()
        self.mark()

    def mark(self) -> None:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._marks.append(event)

    def differences(self) -> list[float]:
        """Return the seconds from each mark to the next, all of which the GPU has passed."""
        return [a.elapsed_time(b) / 1e3 for a, b in itertools.pairwise(self._marks)]


# (reads joules since some time, the joules at which it starts again from 0)
Counter = tuple[Callable[[], float], float]


def _packages(rapl: Path) -> list[Counter]:
    """Return the counters of the CPU packages, which Linux keeps under Intel's name for AMD too.

    Most systems let the superuser alone read them.
    """
    found: list[Counter] = []
    for folder in sorted(rapl.glob("intel-rapl:*")):
        package = folder.name.count(":") == 1  # its cores and memory are its parts
        if package and os.access(folder / "energy_uj", os.R_OK):
            wraps_at = int((folder / "max_energy_range_uj").read_text()) / 1e6
            found.append((partial(_joules, folder / "energy_uj"), wraps_at))
    return found


def _joules(microjoules: Path) -> float:
    return int(microjoules.read_text()) / 1e6


def _gpu_counters(device: torch.device) -> list[Counter]:
    """Return the GPU's counter, where it has one."""
    read = ask_gpu(gpu_uuid(device), _energy_reader)
    return [(read, float("inf"))] if read else []


def _energy_reader(nvml: Any, gpu: Any) -> Callable[[], float]:
    def joules() -> float:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1e3  # of millijoules

    joules()  # an error of NVML, where the GPU has no counter
    return joules
