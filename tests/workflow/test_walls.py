"""Jobs with a time limit, which they know."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from test_workflow import SMOKE, lay_out, snakemake

from benchmark.records.record import read_record
from benchmark.storage.paths import Run

SLOW = """
import time
from torch import nn


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x, t):
        time.sleep(0.2)
        return self.layer(x)


def network(resolution):
    return Slow()
"""
STEPS = 330  # of 0.2 s: longer than a minute, whatever the machine


@pytest.mark.slow
def test_a_signal_to_all_processes_of_a_job_leaves_its_last_words(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    content = yaml.safe_load(SMOKE.read_text())
    content["training"]["short"]["steps"] = 10**6
    (folder / "long.yaml").write_text(yaml.safe_dump(content))
    run = Run(folder / "results" / "smoke")
    target = str(run.weights("DDPM-linear").relative_to(folder))
    made = str(run.images("tiny").relative_to(folder))
    assert snakemake(folder, "--cores", "1", config="long.yaml", target=made).returncode == 0
    plan = snakemake(folder, "--dry-run", "--printshellcmds", config="long.yaml", target=target)
    [line] = [line for line in plan.stdout.splitlines() if "-m benchmark train" in line]
    [config] = (folder / "results" / "smoke").glob("config-*.json")
    log = run.log("train", "DDPM-linear")
    log.parent.mkdir(parents=True, exist_ok=True)
    job = subprocess.Popen(
        ["bash", "-c", line.split("Shell command: ")[-1]],
        cwd=folder,
        env=os.environ
        | {
            "BENCHMARK_CONFIG": str(config),
            "BENCHMARK_PYTHON": sys.executable,
            "PYTHONPATH": str(folder),
        },
        start_new_session=True,
    )
    while not list(run.root.glob("state/*/0*.pt")):
        assert job.poll() is None
        time.sleep(0.1)
    os.killpg(job.pid, signal.SIGINT)
    assert job.wait(timeout=120) == 128 + signal.SIGINT
    assert "told to stop: stopped at step" in log.read_text()


@pytest.mark.slow
def test_a_training_stops_before_its_wall_and_its_retry_goes_on(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    (folder / "slow.py").write_text(SLOW)
    content = yaml.safe_load(SMOKE.read_text())
    content["networks"]["net"] = {"kind": "custom", "factory": "slow:network"}
    content["training"]["short"] |= {"steps": STEPS, "log_every": 10, "save_seconds": 3600}
    (folder / "slow.yaml").write_text(yaml.safe_dump(content))
    run = Run(folder / "results" / "smoke")
    weights = run.weights("DDPM-linear")
    limits = ("--cores", "1", "--set-resources", "train:runtime=1", "--retries", "4")
    target = str(weights.relative_to(folder))
    done = snakemake(folder, *limits, config="slow.yaml", target=target)
    assert done.returncode == 0, done.stderr
    assert "train DDPM-linear: the time is nearly up: stopped at step" in done.stderr
    assert "Trying to restart job" in done.stderr
    record = read_record(run.record("train", "DDPM-linear"))
    assert record.curve is not None
    assert record.curve.steps == [*range(10, STEPS + 1, 10)]
    assert record.values["train_seconds"].value > 0.2 * STEPS  # of all attempts
    assert record.provenance.wall_seconds < 60  # of the last
