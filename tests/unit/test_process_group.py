"""Several processes that train one network together."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core.closure import MODULES
from benchmark.models.weights import load_weights
from benchmark.records.record import Record, read_record
from benchmark.runtime.process_group import ProcessGroup
from benchmark.runtime.stopping import EXIT_RUN_AGAIN
from benchmark.storage.paths import Run

SMOKE = Path(__file__).parents[1] / "workflow" / "smoke.yaml"
STEPS = 40
# A network that takes its time without a processor's.
WAITING = """
import time
from torch import nn


class Waiting(nn.Conv2d):
    def forward(self, x, t):
        time.sleep(0.05)
        return super().forward(x)


def network(resolution):
    return Waiting(3, 3, 1)
"""


@given(batch=st.integers(1, 70), size=st.integers(1, 9))
def test_shares_are_the_batch_and_no_row_weighs_more_than_another(batch: int, size: int) -> None:
    shares = [ProcessGroup(rank, size).share(batch) for rank in range(size)]
    seen = [i for share in shares if share.weight for i in range(batch)[share.rows]]
    assert seen == list(range(batch))
    assert sum(share.weight for share in shares) == pytest.approx(1)
    for share in shares:
        assert len(range(batch)[share.rows]) >= 1  # all have to take part
        assert share.weight in (0, pytest.approx(len(range(batch)[share.rows]) / batch))


def lay_out(folder: Path, prepared: Run, schedule: str, **training: Any) -> Path:
    """Write a config whose one training has this schedule; its data are those of `prepared`."""
    content = yaml.safe_load(SMOKE.read_text())
    content["networks"]["net"]["time_embedding"] = "fourier" if schedule == "ve" else "positional"
    content["training"]["short"] |= {"steps": STEPS, "log_every": 1, **training}
    entry = {"table": "t", "model": "DDPM", "sampler": "ddpm", "steps": 10, "samples": 8}
    content |= {"models": {"M": content["models"]["DDPM"]}, "evaluation": content["evaluation"]}
    content["grid"] = [entry | {"model": "M", "schedule": schedule}]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run_of(folder: Path, prepared: Run) -> Run:
    run = Run(folder / "smoke")
    run.data("tiny").parent.mkdir(parents=True)
    run.data("tiny").symlink_to(prepared.data("tiny"))
    return run


def train(config: Path, run: Run, schedule: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmark", "train", str(config), f"M-{schedule}"]
    return subprocess.Popen(
        [*command, "--results", str(run.root.parent), *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def trained(config: Path, run: Run, schedule: str, processes: int) -> Record:
    job = train(config, run, schedule, "--processes", str(processes))
    _, errors = job.communicate()
    assert job.returncode == 0, errors
    return read_record(run.record("train", f"M-{schedule}"))


def assert_alike(one: Record, other: Record, runs: list[Run], schedule: str) -> None:
    """Losses within rounding, and weights, which Adam moves by the sign of small gradients."""
    assert one.curve is not None
    assert other.curve is not None
    np.testing.assert_allclose(other.curve.loss, one.curve.loss, rtol=1e-4)
    weights = [load_weights(run.weights(f"M-{schedule}"))[0] for run in runs]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "batch"), [("linear", 7), ("geometric", 8), ("ve", 7), ("linear", 1)]
)
def test_two_processes_have_the_losses_of_one(
    tmp_path: Path, prepared: Run, schedule: str, batch: int
) -> None:
    config = lay_out(tmp_path, prepared, schedule, batch=batch)
    runs = [run_of(tmp_path / str(n), prepared) for n in (1, 2)]
    one, two = (trained(config, run, schedule, n) for n, run in enumerate(runs, 1))
    assert (one.provenance.processes, two.provenance.processes) == (1, 2)
    assert_alike(one, two, runs, schedule)


def stop(job: subprocess.Popen[str], run: Run) -> None:
    """Tell a training to stop once it has saved a state that it did not find."""
    before = set(run.root.glob("state/*/*.pt"))
    while job.poll() is None and set(run.root.glob("state/*/0*.pt")) <= before:
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    _, errors = job.communicate()
    assert job.returncode == 128 + signal.SIGTERM, errors
    assert "run the command again to continue" in errors


@pytest.mark.slow
def test_a_training_goes_on_with_another_number_of_processes(tmp_path: Path, prepared: Run) -> None:
    config = lay_out(tmp_path, prepared, "linear", steps=900, save_seconds=0.3)
    whole, parts = (run_of(tmp_path / name, prepared) for name in ("whole", "parts"))
    undisturbed = trained(config, whole, "linear", 1)
    for processes in (2, 1):
        stop(train(config, parts, "linear", "--processes", str(processes)), parts)
    resumed = trained(config, parts, "linear", 2)
    assert undisturbed.curve is not None
    assert resumed.curve is not None
    np.testing.assert_allclose(resumed.curve.loss[:50], undisturbed.curve.loss[:50], rtol=1e-3)
    assert resumed.curve.steps == undisturbed.curve.steps


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_saves_and_stops_before_the_wall(
    tmp_path: Path, prepared: Run, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = lay_out(tmp_path, prepared, "linear", steps=10**6, save_seconds=3600)
    content = yaml.safe_load(config.read_text())
    content["networks"]["net"] = {"kind": "custom", "factory": "waiting:network"}
    config.write_text(yaml.safe_dump(content))
    (tmp_path / "waiting.py").write_text(WAITING)
    monkeypatch.setenv(MODULES, str(tmp_path))
    run = run_of(tmp_path / "run", prepared)
    start = time.monotonic()
    options = ["--processes", str(processes), "--minutes", "1"]
    job = train(config, run, "linear", *options)
    _, errors = job.communicate()
    assert job.returncode == EXIT_RUN_AGAIN, errors
    assert time.monotonic() - start < 60  # the wall
    assert len(list(run.root.glob("state/*/0*.pt"))) == 1
