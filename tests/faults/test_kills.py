"""SIGKILL at random moments: what is started again ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
from harness import CELLS, CONFIG, PROJECT, SMOKE, command, outcome, succeed, unfinished

KILLED = [
    ("prepare", "tiny"),
    *(("train", str(cell.trained_as)) for cell in CONFIG.cells[:2]),
    *(("sample", name) for name in CELLS[:2]),
    ("features", "tiny"),
    ("features", CELLS[0]),
]
EACH = 4
TRIES = 20
Servers: TypeAlias = list[subprocess.Popen[bytes]]


def duration(results: Path, verb: str, name: str) -> float:
    start = time.monotonic()
    succeed(results, verb, name)
    return time.monotonic() - start


def killed(servers: Servers, results: Path, verb: str, name: str, seconds: float) -> bool:
    """Start a verb and kill the process that does it; tell whether it was still at work."""
    job = subprocess.Popen(
        command(results, verb, name),
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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
                if killed(warm, results, verb, name, moments.uniform(0.1, 1) * usual[verb]):
                    kills += 1
                    break
        succeed(results, verb, name)
    expected = outcome(undisturbed)
    found = outcome(results)
    assert {path: expected[path] for path in found} == found
    assert len(found) == 20
    assert kills >= 20  # of 28, as a job may end before the moment has come
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
