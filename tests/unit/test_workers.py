"""Workers that share a batch: the same results, and an end in order whatever happens to one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.config.building import sample_job
from benchmark.config.config import Config
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import read_record
from benchmark.runtime.workers import Workers, shares, workers_for
from benchmark.stages import sample
from benchmark.storage.paths import Run
from benchmark.storage.pictures import read_movie

Array = NDArray[np.uint8]

CPU = torch.device("cpu")


def work(number: int, tick: Callable[[], None]) -> tuple[int, int]:
    tick()
    if number == 1:
        raise MemoryError("of 1")
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()


def nothing() -> None: ...


@pytest.mark.parametrize(("size", "count"), [(16, 2), (5, 2), (1, 2), (7, 3)])
def test_shares_are_contiguous_and_of_about_the_same_size(size: int, count: int) -> None:
    parts = shares(range(10, 10 + size), count)
    assert [i for part in parts for i in part] == list(range(10, 10 + size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(parts)


def test_as_many_workers_as_threads_but_not_more_than_images_and_none_on_a_gpu() -> None:
    assert workers_for(CPU, 4, 16, is_compiled=False) == 4
    assert workers_for(CPU, 4, 3, is_compiled=False) == 3
    assert workers_for(CPU, 1, 16, is_compiled=False) == 1
    assert workers_for(CPU, 4, 16, is_compiled=True) == 1
    assert workers_for(torch.device("cuda"), 4, 16, is_compiled=False) == 1


def test_tasks_are_done_in_order_by_other_processes_which_end_with_the_block() -> None:
    ticks: list[int] = []
    with Workers(2, work, "work") as workers:
        found = workers([7, 8], lambda: ticks.append(1))
        assert workers([9], nothing)[0] == (9, found[0][1])
    assert [number for number, _ in found] == [7, 8]
    assert len({os.getpid(), *(pid for _, pid in found)}) == 3
    assert not any(psutil.pid_exists(pid) for _, pid in found)
    assert len(ticks) == 1  # those of the first task alone


def test_an_error_of_a_worker_is_raised_here_and_the_workers_go_on() -> None:
    with Workers(2, work, "work") as workers:
        with pytest.raises(MemoryError, match="of 1"):
            workers([0, 1], nothing)
        assert [number for number, _ in workers([5, 6], nothing)] == [5, 6]


def test_a_killed_worker_is_one_clear_line() -> None:
    before = psutil.Process().children()
    with (
        Workers(2, work, "work") as workers,
        pytest.raises(BenchmarkError, match=r"^work: worker 1 of 2 was killed by SIGKILL: a lack"),
    ):
        workers([0, 2], nothing)
    assert psutil.Process().children() == before


SLEEPING = """
import sys, time
from benchmark.runtime.stopping import handle_signals
from benchmark.runtime.workers import Workers
handle_signals()
with Workers(2, lambda task, tick: tick() or time.sleep(60), "work") as workers:
    workers([0, 1], lambda: print("ready", flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("to_group", [False, True])
def test_no_worker_outlives_a_signal(number: signal.Signals, to_group: bool) -> None:
    command = [sys.executable, "-c", SLEEPING]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as job:
        assert job.stdout
        assert job.stderr
        assert job.stdout.readline() == "ready\n"
        workers = psutil.Process(job.pid).children()
        (os.killpg if to_group else os.kill)(job.pid, number)
        errors = job.stderr.read()  # until no process has it open
    assert len(workers) == 2
    assert job.returncode != 0
    assert number == signal.SIGKILL or f"stopped by {number.name}" in errors
    assert "was killed" not in errors
    psutil.wait_procs(workers, timeout=10)
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.parametrize("cell", ["DDPM-linear-ddpm-10-s0", "DDIM-linear-ddim-5-s0"])
@pytest.mark.parametrize("threads", [2, 4])
def test_a_cell_has_the_same_images_and_counts_whoever_draws_them(
    smoke: Config, weighted: Run, cell: str, threads: int
) -> None:
    alone, alone_frames = sampled(smoke, weighted, cell, threads=1)
    shared, frames = sampled(smoke, weighted, cell, threads=threads)
    # Sums run in another order in batches of another size: at most the last bit of a pixel.
    for one, other in ((alone, shared), (alone_frames, frames)):
        difference = np.abs(one.astype(int) - other)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3
    record = read_record(weighted.record("sample", cell))
    assert (record.provenance.threads, record.provenance.processes) == (1, threads)
    assert record.timing is not None
    assert record.timing.batch_images == [6, 2]
    steps = record.timing.network_evaluations
    assert steps == (10 if "ddpm" in cell else 5)
    counts = [[count for _, count in laps] for laps in record.timing.batch_laps]
    assert counts == [[6] * int(steps), [2] * int(steps)]
    for seconds, laps in zip(record.timing.batch_seconds, record.timing.batch_laps, strict=True):
        assert sum(second for second, _ in laps) == pytest.approx(seconds, rel=0.1)


def sampled(config: Config, run: Run, cell: str, threads: int) -> tuple[Array, Array]:
    """Sample a cell; return its images and the frames of its movie."""
    sample.stage(sample_job(config, cell), run, threads)
    return np.load(run.samples(cell)), read_movie(run.movie(cell), side=16)


def test_a_sample_that_is_not_finite_is_named_by_the_worker_that_drew_it(
    smoke: Config, weighted: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(x_0: Tensor) -> Array:
        raise BenchmarkError(f"{len(x_0)} images")

    monkeypatch.setattr(sample, "to_uint8", broken)
    with pytest.raises(BenchmarkError, match="3 images"):
        sample.stage(sample_job(smoke, "DDPM-linear-ddpm-10-s0"), weighted, threads=2)
    assert not weighted.samples("DDPM-linear-ddpm-10-s0").exists()
    assert not weighted.record("sample", "DDPM-linear-ddpm-10-s0").exists()
