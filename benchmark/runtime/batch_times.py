"""Measures how long the batches of a job take, and how much energy they need."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmark.core.nvml import ask_gpu
from benchmark.runtime.device import gpu_uuid, synchronise

RAPL = Path("/sys/class/powercap")


class BatchTime(NamedTuple):
    """What was measured of one batch: see `BatchTimes`."""

    seconds: float
    parts: list[float]
    joules: list[float]  # one number; none if the machine does not measure it


class BatchTimes:
    """Times the batches of a job on a device, which is synchronised before a clock is read.

    Attributes:
        seconds: the seconds of each batch.
        parts: for each batch, the seconds of its parts, which end where `mark` is called; a GPU is
            not synchronised there.
        batch_joules: the energy of each batch; empty if the machine does not measure it.

    Args:
        device: the device that does the work.
        rapl: the folder in which Linux shows the energy counters of processors.
    """

    def __init__(self, device: torch.device, rapl: Path = RAPL) -> None:
        self.seconds: list[float] = []
        self.parts: list[list[float]] = []
        self._clock = _GpuClock(device) if device.type == "cuda" else _Clock()
        self._device = device
        self._counters = _gpu_counters(device) if device.type == "cuda" else _packages(rapl)
        self.batch_joules: list[float] = []

    @property
    def joules(self) -> float | None:
        """The energy of all batches; None: the machine does not measure it."""
        return sum(self.batch_joules) if self._counters else None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Measure the block, which is the work of one batch."""
        synchronise(self._device)
        before = [read() for read, _ in self._counters]
        self._clock.start()
        start = time.perf_counter()
        yield
        self.mark()
        synchronise(self._device)
        self.seconds.append(time.perf_counter() - start)
        self.parts.append(self._clock.differences())
        if self._counters:
            spent = zip(self._counters, before, strict=True)
            self.batch_joules.append(
                sum((read() - first) % wraps for (read, wraps), first in spent)
            )

    def last(self) -> BatchTime:
        """Return what was measured of the last batch."""
        return BatchTime(self.seconds[-1], self.parts[-1], self.batch_joules[-1:])

    def add(self, batch: BatchTime) -> None:
        """Add a batch that another process has measured."""
        self.seconds.append(batch.seconds)
        self.parts.append(batch.parts)
        self.batch_joules += batch.joules

    def mark(self) -> None:
        """End a part of the batch and begin the next."""
        self._clock.mark()


class _Clock:
    """Takes times by the clock of the processor."""

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
    """Takes times by CUDA events, which the GPU records between the operations in its queue."""

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
        """Return the seconds from each mark to the next, once the GPU is synchronised."""
        return [a.elapsed_time(b) / 1e3 for a, b in itertools.pairwise(self._marks)]


# A function that reads the joules since some time, and the number at which it restarts from 0.
Counter = tuple[Callable[[], float], float]


def _packages(rapl: Path) -> list[Counter]:
    """Return the energy counters of the processors, which Linux calls intel-rapl for AMD too.

    On most systems only the superuser may read them.
    """
    found: list[Counter] = []
    for folder in sorted(rapl.glob("intel-rapl:*")):
        package = folder.name.count(":") == 1  # not a part of it, such as its cores
        if package and os.access(folder / "energy_uj", os.R_OK):
            wraps_at = int((folder / "max_energy_range_uj").read_text()) / 1e6
            found.append((partial(_joules, folder / "energy_uj"), wraps_at))
    return found


def _joules(microjoules: Path) -> float:
    return int(microjoules.read_text()) / 1e6


def _gpu_counters(device: torch.device) -> list[Counter]:
    """Return the energy counter of a GPU; none if it has no counter."""
    read = ask_gpu(gpu_uuid(device), _energy_reader)
    return [(read, float("inf"))] if read else []


def _energy_reader(nvml: Any, gpu: Any) -> Callable[[], float]:
    """Return a function that reads a GPU's energy counter, in joules."""

    def joules() -> float:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1e3  # of millijoules

    joules()  # raises an error of NVML if the GPU has no counter
    return joules
