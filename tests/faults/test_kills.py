"""SIGKILL at random moments: the command, run again, ends as an undisturbed one does."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
from harness import (
    CELLS,
    CONFIG,
    PROJECT,
    SMOKE,
    command,
    copy_run,
    digest,
    digests,
    outcome,
    succeed,
    unfinished,
)

from benchmark.storage.paths import Run

KILLED = [
    ("prepare", "tiny"),
    *(("train", str(cell.trained_as)) for cell in CONFIG.cells[:2]),
    *(("sample", name) for name in CELLS[:2]),
    ("features", "tiny"),
    ("features", CELLS[0]),
]
EXTRACTOR = CONFIG.evaluation.extractor
EACH = 4
TRIES = 20
Servers: TypeAlias = list[subprocess.Popen[bytes]]


def duration(results: Path, verb: str, name: str) -> float:
    start = time.monotonic()
    succeed(results, verb, name)
    return time.monotonic() - start


def killed(servers: Servers, job_of: list[str], seconds: float) -> bool:
    """Start a command and kill the process that does it; tell whether it was still at work."""
    job = subprocess.Popen(
        job_of, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        job.wait(seconds)
    for server in servers:
        for worker in psutil.Process(server.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
    return job.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.faults(
    "SIGKILL at random moments",
    "prepare, train, sample, features: 20 kills and more in one run",
    "started again, it ends with the same arrays, weights and records; nothing unfinished is left",
)
def test_killed_stages_end_as_undisturbed_ones(
    warm: Servers, undisturbed: Path, tmp_path: Path
) -> None:
    usual: dict[str, float] = {}
    for verb, name in KILLED:
        if verb not in usual:
            usual[verb] = duration(tmp_path / "scratch", verb, name)
    results, moments, kills = tmp_path / "results", random.Random(0), 0
    for verb, name in KILLED:
        for _ in range(EACH):
            for _ in range(TRIES):
                seconds = moments.uniform(0.1, 1) * usual[verb]
                if killed(warm, command(results, verb, name), seconds):
                    kills += 1
                    break
        succeed(results, verb, name)
    expected = outcome(undisturbed)
    found = outcome(results)
    assert {path: expected[path] for path in found} == found
    assert len(found) == 24
    assert kills >= 20  # of 28, as a job may end before the moment has come
    assert unfinished(results) == []


@pytest.mark.slow
@pytest.mark.faults(
    "SIGKILL at random moments",
    "the shards of samples and of features, and their merging",
    "only what was killed is made again, and the whole has the bytes of one job",
)
def test_killed_shards_merge_to_the_bytes_of_one_job(
    warm: Servers, undisturbed: Path, tmp_path: Path
) -> None:
    cell, results = CELLS[0], tmp_path / "results"
    run = copy_run(undisturbed, results)
    shutil.rmtree(run.samples(cell).parent)
    run.features(EXTRACTOR, cell).unlink()
    for kind in ("sample", "features"):
        run.record(kind, cell).unlink()
    first, second = ["--shard", "0-6"], ["--shard", "6-8"]
    jobs = [("sample", first), ("sample", second), ("merge", ["--size", "6"])]
    jobs += [("features", ["--shard", "0-8"]), ("merge", ["--kind", "features", "--size", "8"])]
    moments, kills = random.Random(0), 0
    for verb, options in jobs:
        job = [*command(results, verb, cell), *options]
        for _ in range(TRIES):
            if killed(warm, job, moments.uniform(0.1, 0.6)):
                kills += 1
                break
        before = digests(run.shard("sample", cell, "0-6").root)
        done = subprocess.run(job, cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if options == second:
            assert digests(run.shard("sample", cell, "0-6").root) == before
    assert kills >= 3  # of 5: a merge may end before the moment has come
    whole = Run(undisturbed / CONFIG.run)
    assert digest(run.samples(cell)) == digest(whole.samples(cell))
    assert digest(run.features(EXTRACTOR, cell)) == digest(whole.features(EXTRACTOR, cell))
    assert unfinished(results) == []


@pytest.mark.slow
@pytest.mark.faults(
    "SIGKILL of the main process alone, as by the kernel when memory is short",
    "prepare, with workers that read images",
    "the workers end too",
)
@pytest.mark.usefixtures("cold")
def test_workers_end_with_who_started_them(tmp_path: Path) -> None:
    config = tmp_path / "large.yaml"
    config.write_text(SMOKE.read_text().replace("train: 24", "train: 30000"))
    arguments = ["prepare", str(config), "tiny", "--results", str(tmp_path)]
    main = psutil.Popen(
        [sys.executable, "-m", "benchmark", *arguments], cwd=PROJECT, stderr=subprocess.DEVNULL
    )
    images = tmp_path / CONFIG.run / "data" / "tiny"
    while not any(path.stat().st_size > 2**16 for path in images.glob(".images-*")):
        assert main.poll() is None
        time.sleep(0.1)
    workers = main.children(recursive=True)
    main.send_signal(signal.SIGKILL)
    main.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    for worker in alive:
        worker.kill()
    assert len(gone) >= 2 or len(os.sched_getaffinity(0)) == 1
    assert alive == []
