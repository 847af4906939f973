"""One of several processes that train one network dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from harness import PROJECT, SMOKE, copy_run

from benchmark.records.record import read_record
from benchmark.runtime.process_group import PEERS_END_SECONDS

NAME = "DDPM-linear"


@pytest.mark.slow
@pytest.mark.faults(
    "a worker is killed",
    "train with two processes",
    "one line, none of the others is left; started again, it goes on from the last state",
)
@pytest.mark.parametrize(("worker", "is_late"), [(0, True), (1, False)])
def test_a_dead_worker_ends_the_training_and_it_goes_on(
    undisturbed: Path, cold: None, tmp_path: Path, worker: int, is_late: bool
) -> None:
    run = copy_run(undisturbed, tmp_path / "results")
    content = yaml.safe_load(SMOKE.read_text())
    content["training"]["short"] |= {"steps": 800, "save_seconds": 0.5}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "benchmark", "train", str(config), NAME]
    command += ["--results", str(run.root.parent), "--processes", "2"]
    job = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    while not list(run.root.glob("state/*/0*.pt")):
        assert job.poll() is None
        time.sleep(0.05)
    workers = psutil.Process(job.pid).children()
    assert len(workers) == 2
    if is_late:  # the other process hears of it long before the launcher
        job.send_signal(signal.SIGSTOP)
    sorted(workers, key=lambda process: process.environ()["LOCAL_RANK"])[worker].kill()
    if is_late:
        time.sleep(PEERS_END_SECONDS + 2)
        job.send_signal(signal.SIGCONT)
    _, errors = job.communicate(timeout=120)
    assert job.returncode == 2
    [line] = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert f"process {worker} of 2 was killed by SIGKILL" in line
    assert "Traceback" not in errors
    gone, left = psutil.wait_procs(workers, 10)
    assert not left, gone
    [*_, last] = sorted(run.root.glob("state/*/0*.pt"))
    reached = int(last.name.partition("-")[0])
    again = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"0/{800 - reached}" in again.stderr or f"/{800 - reached}," in again.stderr
    record = read_record(run.record("train", NAME))
    assert record.curve is not None
    assert record.curve.steps[-1] == 800
