"""Whether a machine was busy: on made-up counters, on made-up files, and beside a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import do

from benchmark.config.config import Config
from benchmark.records import contention
from benchmark.records.contention import (
    Activity,
    Contention,
    ContentionMonitor,
    Counters,
    GpuUse,
    activity,
    busiest,
    counters,
)
from benchmark.records.record import Record, read_record
from benchmark.storage.paths import Run

CELL = "DDPM-linear-ddpm-10-s0"


def watched(*readings: Counters, gpu: Callable[[], GpuUse] | None = None) -> Contention:
    """Return what a monitor finds in these readings: at its start, the begin and the end."""
    given = iter(readings)
    monitor = ContentionMonitor(gpu=gpu, read=lambda: next(given))
    monitor.begin()
    return monitor.found()


def seen(
    seconds: float = 10.0, cores: int = 2, needed: int | None = None, **parts: Any
) -> Contention:
    """Return a contention whose timed part took `seconds`, with these parts taken."""
    gpu = parts.pop("gpu_processes", None)
    return Contention(
        cores=cores,
        needed=cores if needed is None else needed,
        load=0.0,
        before=Activity(seconds=1.0, others=0.0),
        during=Activity(seconds=seconds, **{"others": 0.0, **parts}),
        gpu_processes=gpu,
    )


def test_what_others_used_is_what_the_job_did_not() -> None:
    found = watched(
        Counters(0.0, busy=100.0, own=1.0, stolen=0.0, throttled=5.0),
        Counters(2.0, busy=103.0, own=3.0, stolen=0.0, throttled=5.0),  # others: 1 s of 2 s
        Counters(12.0, busy=131.0, own=23.0, stolen=0.5, throttled=6.0),  # others: 8 s of 10 s
    )
    assert (found.before.seconds, found.before.others) == (2.0, 0.5)
    assert found.during == Activity(seconds=10.0, others=0.8, stolen=0.05, throttled=0.1)
    assert found.told
    assert found.busy == (
        "0.8 of a core by others, 0.05 of a core by other virtual machines, 0.1 of a core by the "
        "quota of the control group"
    )


def test_a_quiet_machine_gets_no_mark() -> None:
    found = watched(
        Counters(0.0, busy=100.0, own=1.0, stolen=0.0),
        Counters(1.0, busy=102.0, own=3.0, stolen=0.0),
        Counters(11.0, busy=122.3, own=23.0, stolen=0.1),  # 0.3 s of other work in 10 s
    )
    assert found.told
    assert found.during.others == 0.03
    assert found.busy == ""


def test_work_before_the_timed_part_is_told_and_does_not_count() -> None:
    found = watched(
        Counters(0.0, busy=0.0, own=0.0),
        Counters(10.0, busy=20.0, own=0.5),
        Counters(20.0, busy=40.0, own=20.5),
    )
    assert found.before.others == 1.95
    assert found.busy == ""


def test_only_the_first_begin_counts_and_the_end_may_be_moved() -> None:
    given = iter([Counters(float(t), busy=float(t), own=float(t)) for t in (0, 3, 4, 5)])
    monitor = ContentionMonitor(read=lambda: next(given))
    monitor.begin()
    monitor.begin()
    assert monitor.found().during.seconds == 1
    assert monitor.found().during.seconds == 2


def test_counters_that_are_not_told_or_stand_still_tell_nothing() -> None:
    nothing = activity(Counters(0.0), Counters(5.0))
    assert nothing == Activity(seconds=5.0)
    still = activity(Counters(0.0, busy=0.0, own=1.0), Counters(5.0, busy=0.0, own=6.0))
    assert still.others is None
    found = watched(Counters(0.0), Counters(1.0), Counters(5.0))
    assert not found.told
    assert found.busy == ""


@pytest.mark.parametrize(
    ("found", "busy"),
    [
        (seen(others=0.3), "0.3 of a core by others"),
        (seen(others=1.96), "2.0 cores by others"),
        (seen(others=0.1), ""),
        (seen(others=0.05, stolen=0.2), "0.05 of a core by others, 0.2 of a core by other virtual"),
        (seen(throttled=0.7), "0.7 of a core by the quota"),
        (seen(overheated=0.3), "slowed down for its heat 30% of the time"),
        (seen(overheated=0.05), ""),
        # the counters of two cores may be wrong by as much
        (seen(seconds=0.05, others=0.6), ""),
        (seen(seconds=0.05, others=1.0), "1.0 cores by others"),
        # a GPU needs one core
        (seen(cores=16, needed=1, others=14.9), ""),
        (seen(cores=16, needed=1, others=15.6), "15.6 cores by others"),
        (seen(cores=16, needed=1, gpu_processes=0), ""),
        (seen(cores=16, needed=1, gpu_processes=1), "1 other process on the GPU"),
        (seen(cores=16, needed=1, gpu_processes=3), "3 other processes on the GPU"),
    ],
)
def test_when_is_a_machine_busy(found: Contention, busy: str) -> None:
    assert found.busy.startswith(busy)
    assert bool(found.busy) == bool(busy)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=6))
def test_one_busy_part_of_several_is_enough(others: list[float]) -> None:
    parts = [seen(others=cores) for cores in others]
    assert bool(busiest(parts)) == any(part.busy for part in parts)
    if busiest(parts):
        assert busiest(parts) == seen(others=max(others)).busy


def test_other_processes_on_a_gpu_are_looked_for_at_both_ends() -> None:
    told = iter([GpuUse(0.4, 0), GpuUse(0.9, 2), GpuUse(1.0, None)])
    still = Counters(0.0, busy=0.0, own=0.0)
    found = watched(still, still, still, gpu=lambda: next(told))
    assert (found.gpu_used, found.gpu_processes, found.needed) == (0.4, 2, 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000", 2.5),
        ("nr_throttled 0\nthrottled_usec 0", 0.0),
        ("nr_throttled 3\nthrottled_time 1500000000", 1.5),  # of the first version, in ns
        ("throttled_usec many", None),
        ("usage_usec 9", None),
    ],
)
def test_what_a_quota_has_withheld_is_read(
    text: str, seconds: float | None, tmp_path: Path
) -> None:
    (tmp_path / "cpu.stat").write_text(text)
    assert contention._throttled([tmp_path / "none", tmp_path]) == seconds


def test_of_several_groups_that_withhold_the_most_counts(tmp_path: Path) -> None:
    for name, microseconds in (("inner", 100), ("outer", 4_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cpu.stat").write_text(f"throttled_usec {microseconds}\n")
    assert contention._throttled([tmp_path / "inner", tmp_path / "outer"]) == 4


def test_heat_is_that_of_the_hottest_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "CPUS", tmp_path)
    assert counters(psutil.Process(), [0, 1]).overheated is None
    for name, milliseconds in (("cpu0/core", 200), ("cpu1/package", 700), ("cpu2/core", 9000)):
        cpu, part = name.split("/")
        folder = tmp_path / cpu / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / f"{part}_throttle_total_time_ms").write_text(f"{milliseconds}\n")
    assert counters(psutil.Process(), [0, 1]).overheated == 0.7


def test_a_system_that_tells_nothing_makes_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    for name in ("cpu_times", "cpu_freq", "getloadavg"):
        monkeypatch.setattr(psutil, name, refuse)
    for name in ("cpu_times", "cpu_affinity", "children"):
        monkeypatch.setattr(psutil.Process, name, refuse)
    monkeypatch.setattr(contention, "CPUS", tmp_path / "none")
    monkeypatch.setattr(contention, "control_groups", lambda: [tmp_path / "none"])
    monitor = ContentionMonitor()
    monitor.begin()
    found = monitor.found()
    assert found.cores >= 1
    assert (found.load, found.cpu_mhz, found.told, found.busy) == (None, None, False, "")
    assert found.during == Activity(seconds=found.during.seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own list of cores")
@pytest.mark.parametrize(
    ("listed", "cpus", "seconds"),
    [
        ([0, 1], [1], 20),
        ([0, 2, 3], [2], 30),  # core 1 is switched off
        ([0, 2, 3], [2, 3], 70),
        ([1, 2], [1], 20),
        ([0, 1], [62, 63], 30),  # a container that numbers its own cores is counted whole
        ([0, 1], [1, 62], 30),
    ],
)
def test_the_work_of_a_core_is_found_by_the_number_that_the_kernel_gives_it(
    listed: list[int],
    cpus: list[int],
    seconds: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Core n has worked for 10 · (n + 1) s, of which 1 s each are not the user's, and lost n s."""
    ticks = os.sysconf("SC_CLK_TCK")
    lines = [
        " ".join(
            [f"cpu{n}"]
            + [str(ticks * part) for part in (10 * (n + 1) - 4, 1, 1, 500, 7, 1, 1, n, 0, 0)]
        )
        for n in listed
    ]
    (tmp_path / "stat").write_text("\n".join(["cpu  0 0 0 0 0 0 0 0 0 0", *lines, "intr 5 0", ""]))
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    known = [n for n in cpus if n in listed]
    counted = cpus if known == cpus else listed
    assert contention._work_of_cores(cpus) == (seconds, sum(counted))


def test_processes_that_a_job_starts_are_its_own() -> None:
    before = counters(psutil.Process(), [0]).own
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    after = counters(psutil.Process(), [0]).own
    assert before is not None
    assert after is not None
    assert after - before >= 0.25  # the system counts in hundredths


SPIN = """
import os, sys, time
pid = os.fork()
if pid == 0:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # so that its reader waits for no more output
    end = time.monotonic() + 60  # in case that nothing ends it before
    while time.monotonic() < end:
        pass
    os._exit(0)
print(pid)
"""


@pytest.fixture
def busy_neighbours() -> Iterator[None]:
    """Two processes of another parent that work without a pause, or one where there is one core."""
    pids = []
    try:
        for _ in contention.usable_cpus()[:2]:
            # Its parent ends at once, so that it is no descendant of this process.
            done = subprocess.run(
                [sys.executable, "-c", SPIN], stdout=subprocess.PIPE, timeout=60, check=True
            )
            pids.append(int(done.stdout))
        yield
    finally:
        for pid in pids:
            psutil.Process(pid).kill()


@pytest.mark.usefixtures("busy_neighbours")
def test_a_real_busy_process_beside_a_sampling_is_marked(smoke: Config, weighted: Run) -> None:
    config = smoke.model_copy(update={"sampling_batch": 1})  # some seconds, not an instant
    do("sample", config, CELL, weighted)
    record = read_record(weighted.record("sample", CELL))
    [found] = record.contention
    assert found.during.others is not None
    assert "by others" in record.busy
    assert record.busy_is_told


@pytest.mark.usefixtures("busy_neighbours")
def test_a_real_busy_process_beside_a_training_is_marked(smoke: Config, run: Run) -> None:
    do("train", smoke, "DDPM-linear", run)
    record = read_record(run.record("train", "DDPM-linear"))
    assert "by others" in record.busy
    assert sum(steps for _, steps in record.step_laps) == record.trained.steps


def test_the_heat_of_a_gpu_is_a_reason_and_the_limit_of_its_power_is_none() -> None:
    from records_fixture import CELLS as POINTS
    from records_fixture import make_cell, record, timing

    cell = make_cell(POINTS[0])

    def held(*reasons: str) -> Record:
        times = timing(cell, 1.0).model_copy(update={"gpu_throttled": list(reasons)})
        return record("sample", cell.id, 1.0, cell=cell, timing=times, contention=[seen()])

    assert held("sw_power_cap").busy == ""
    assert held("sw_power_cap", "hw_thermal_slowdown").busy == (
        "GPU clock held back: hw_thermal_slowdown"
    )
