"""What else used a machine while something was timed, and whether the times are valid."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
from pydantic import Field

from benchmark.core.cores import control_groups
from benchmark.core.strict_model import Count, NotNegative, StrictModel

# The cores that other work may take. Every operation of a network waits for its slowest thread, so
# a time grows by the part of a core that other work takes; `compare` tolerates a tenth of a time
# too.
_BUSY = 0.1
TICK = 0.01  # seconds: the system looks at each core a hundred times a second to count its work
CPUS = Path("/sys/devices/system/cpu")
# Errors of a machine that does not tell something.
UNTOLD = (psutil.Error, OSError, ValueError, AttributeError, NotImplementedError)


class Activity(StrictModel):
    """What a job lost to others in a span of time; null: the machine does not tell it."""

    seconds: NotNegative = Field(description="Wall time of the span")
    others: NotNegative | None = Field(
        default=None, description="Cores of the job that other processes kept busy"
    )
    stolen: NotNegative | None = Field(
        default=None, description="Cores that the host of a virtual machine gave to other guests"
    )
    throttled: NotNegative | None = Field(
        default=None, description="Cores that the quota of the job's control group withheld"
    )
    overheated: NotNegative | None = Field(
        default=None, description="Share of the time in which a core was slowed down for its heat"
    )


class Contention(StrictModel):
    """What else used the machine before and while something was timed."""

    cores: Count = Field(description="Cores that the job might use")
    needed: Count = Field(
        description="Cores that the job needs for itself: all, or one to feed a GPU"
    )
    load: NotNegative | None = Field(
        description="Processes that wanted to run, a mean over the minute before the timed part"
    )
    before: Activity = Field(description="Before the timed part, from the start of the job")
    during: Activity
    cpu_mhz: NotNegative | None = Field(
        default=None, description="Frequency of the processor at the end"
    )
    gpu_used: NotNegative | None = Field(
        default=None, description="Share of the time in which others used the GPU, before"
    )
    gpu_processes: int | None = Field(default=None, ge=0, description="Other processes on the GPU")

    @property
    def told(self) -> bool:
        """Whether it is known how many cores other processes used."""
        return self.during.others is not None

    @property
    def taken(self) -> float:
        """How many cores the job lost, as far as the machine tells."""
        found = (self.during.others, self.during.stolen, self.during.throttled)
        return math.fsum(cores for cores in found if cores is not None)

    @property
    def busy(self) -> str:
        """Why the time is not valid; empty if nothing speaks against it.

        Other work may take a tenth of a core and the cores that the job does not need, and besides
        two standard errors of the system's count.
        """
        span = self.during
        allowed = (_BUSY + self.cores - self.needed) * span.seconds
        counted = math.sqrt(TICK * self.cores * span.seconds)
        found = []
        if self.taken * span.seconds > allowed + counted:
            for amount, by in (
                (span.others, "others"),
                (span.stolen, "other virtual machines"),
                (span.throttled, "the quota of the control group"),
            ):
                found += [f"{_cores(amount)} by {by}"] if amount and amount >= _BUSY / 5 else []
        if span.overheated is not None and span.overheated > _BUSY:
            found.append(f"slowed down for its heat {span.overheated:.0%} of the time")
        if self.gpu_processes:
            plural = "es" * (self.gpu_processes > 1)
            found.append(f"{self.gpu_processes} other process{plural} on the GPU")
        return ", ".join(found)


def busiest(found: Sequence[Contention]) -> str:
    """Return why a time that has several parts is not valid; empty if nothing speaks against it.

    One busy part is enough; the reason is that of the busiest one.
    """
    busy = [each for each in found if each.busy]
    return max(busy, key=lambda each: each.taken).busy if busy else ""


class Counters(NamedTuple):
    """What the system has counted until some time, in seconds; None: it does not tell it."""

    time: float
    busy: float | None = None  # work of the job's cores, for all processes
    own: float | None = None  # work of the job's processes
    stolen: float | None = None  # time that the host took from the job's cores
    throttled: float | None = None  # time that quotas withheld from all cores together
    overheated: float | None = None  # time for which the hottest core was slowed down


class GpuUse(NamedTuple):
    """How much a GPU is used; None: it is not known."""

    used: float | None = None  # share of the last second in which it was busy
    others: int | None = None  # number of other processes


class ContentionMonitor:
    """Watches what else uses the machine: until `begin`, and from there until `found`.

    Args:
        root: id of the job's process, whose descendants also belong to the job; None: this one.
        gpu: function that tells how much the job's GPU is used; None: the job runs on the CPU.
        read: function that reads the counters; None: read those of this machine.
    """

    def __init__(
        self,
        root: int | None = None,
        gpu: Callable[[], GpuUse] | None = None,
        read: Callable[[], Counters] | None = None,
    ) -> None:
        self._cpus = usable_cpus()
        self._read = read or partial(counters, psutil.Process(root), self._cpus)
        self._gpu = gpu
        self._gpu_used = gpu().used if gpu else None
        self._gpu_others: list[int | None] = []
        self._load: float | None = None
        self._start = self._read()
        self._begin: Counters | None = None

    def begin(self) -> None:
        """Mark the start of the timed part; only the first call counts."""
        if self._begin is None:
            self._load = load_average()
            self._gpu_others += [self._gpu().others] if self._gpu else []
            self._begin = self._read()

    def found(self) -> Contention:
        """Return what was seen until now in the timed part; it may be called again later."""
        self.begin()
        assert self._begin is not None
        now = self._read()
        others = [*self._gpu_others, self._gpu().others if self._gpu else None]
        return Contention(
            cores=len(self._cpus),
            needed=1 if self._gpu else len(self._cpus),
            load=self._load,
            before=activity(self._start, self._begin),
            during=activity(self._begin, now),
            cpu_mhz=frequency(),
            gpu_used=self._gpu_used,
            gpu_processes=max((n for n in others if n is not None), default=None),
        )


def activity(first: Counters, last: Counters) -> Activity:
    """Return what a job lost to others between two readings of the counters.

    In some sandboxes the counters of work stand still while the job works: they then tell nothing.
    """
    seconds = last.time - first.time
    busy, own = _passed(first.busy, last.busy), _passed(first.own, last.own)
    told = busy is not None and own is not None and (busy > 0 or own < TICK)

    def cores(passed: float | None) -> float | None:
        return None if passed is None or seconds <= 0 else round(max(0.0, passed) / seconds, 3)

    return Activity(
        seconds=round(seconds, 3),
        others=cores(busy - own) if told and busy is not None and own is not None else None,
        stolen=cores(_passed(first.stolen, last.stolen)) if told else None,
        throttled=cores(_passed(first.throttled, last.throttled)),
        overheated=cores(_passed(first.overheated, last.overheated)),
    )


def _passed(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else last - first


def usable_cpus() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    with contextlib.suppress(*UNTOLD):  # macOS binds no process to cores
        if found := psutil.Process().cpu_affinity():
            return sorted(found)
    return list(range(psutil.cpu_count() or 1))


def load_average() -> float | None:
    """Return how many processes wanted to run, a mean over the last minute; None: unknown."""
    with contextlib.suppress(*UNTOLD):
        return round(psutil.getloadavg()[0], 2)
    return None


def frequency() -> float | None:
    """Return the present frequency of the processor in MHz; None: unknown."""
    with contextlib.suppress(*UNTOLD):
        if found := psutil.cpu_freq():
            return round(found.current) or None
    return None


def counters(root: psutil.Process, cpus: Sequence[int]) -> Counters:
    """Read all counters.

    Args:
        root: process of the job, whose descendants belong to it too.
        cpus: numbers of the cores that the job may use.
    """
    busy, stolen = _work_of_cores(cpus)
    return Counters(
        time=time.perf_counter(),
        busy=busy,
        own=_work_of_processes(root),
        stolen=stolen,
        throttled=_throttled(control_groups()),
        overheated=_overheated(cpus),
    )


def _work_of_cores(cpus: Sequence[int]) -> tuple[float | None, float | None]:
    """Return for how many seconds cores have worked, and how many were stolen from them."""
    with contextlib.suppress(*UNTOLD):
        listed = psutil.cpu_times(percpu=True)  # without the cores that are switched off
        times = dict(zip(_listed_cores() or range(len(listed)), listed, strict=True))
        # A container may show its cores only, under numbers of its own.
        mine = [times[cpu] for cpu in cpus] if times.keys() >= set(cpus) else listed
        kinds = ("user", "nice", "system", "irq", "softirq")  # user has that of guests in it
        busy = math.fsum(getattr(core, kind, 0.0) for core in mine for kind in kinds)
        stolen = [core.steal for core in mine if hasattr(core, "steal")]
        return busy, math.fsum(stolen) if stolen else None
    return None, None


def _listed_cores() -> list[int]:
    """Return the kernel's numbers of the cores that psutil lists, in its order; empty: no Linux."""
    try:
        lines = Path(getattr(psutil, "PROCFS_PATH", "/proc"), "stat").read_text().splitlines()
    except OSError:
        return []
    return [int(number) for line in lines for number in re.findall(r"^cpu(\d+) ", line)]


def _work_of_processes(root: psutil.Process) -> float | None:
    """Return for how many seconds cores have worked for a process and its descendants.

    A descendant that has ended is counted by the process that started it and waited for its end.
    """
    total = 0.0
    with contextlib.suppress(*UNTOLD):
        for process in [*root.children(recursive=True), root]:
            try:
                own = process.cpu_times()
            except psutil.NoSuchProcess:
                if process is root:
                    raise
                continue
            total += own.user + own.system + own.children_user + own.children_system
        return total
    return None


def _throttled(groups: Iterable[Path]) -> float | None:
    """Return the seconds that the quota of a control group has withheld, the most of all groups."""
    found = [seconds for group in groups for seconds in _throttled_in(group / "cpu.stat")]
    return max(found, default=None)


def _throttled_in(stat: Path) -> Iterator[float]:
    """Yield the seconds in a file `cpu.stat`, which has nanoseconds in version 1 of cgroups."""
    with contextlib.suppress(*UNTOLD):
        told = dict(line.split() for line in stat.read_text().splitlines())
        yield from (
            int(told[k]) / n
            for k, n in (("throttled_usec", 1e6), ("throttled_time", 1e9))
            if k in told
        )


def _overheated(cpus: Sequence[int]) -> float | None:
    """Return for how many seconds the core that was too hot the longest was slowed down."""
    found = []
    for cpu in cpus:
        for part in ("core", "package"):
            with contextlib.suppress(*UNTOLD):
                file = CPUS / f"cpu{cpu}" / "thermal_throttle" / f"{part}_throttle_total_time_ms"
                found.append(int(file.read_text()) / 1e3)
    return max(found, default=None)


def _cores(number: float) -> str:
    return f"{number:.1g} of a core" if number < 0.95 else f"{number:.1f} cores"
