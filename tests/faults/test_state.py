"""Saved states of a training that were changed after they were written."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from harness import CONFIG, PROJECT, command, copy_run, digest, flip, perform

from benchmark.storage.paths import Run

NAME = "DDPM-linear"


def stopped(undisturbed: Path, results: Path) -> tuple[Run, list[Path]]:
    """Kill a training once it has two states; return them, the newest last."""
    run = copy_run(undisturbed, results)
    run.weights(NAME).unlink()
    job = subprocess.Popen(command(results, "train", NAME), cwd=PROJECT, stderr=subprocess.DEVNULL)
    while len(found := sorted(run.root.glob("state/*/0*.pt"))) < 2:
        assert job.poll() is None
        time.sleep(0.001)
    job.send_signal(signal.SIGKILL)
    job.wait()
    return run, sorted(run.root.glob("state/*/0*.pt")) or found


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-100])
    return path


def flip_a_bit(path: Path) -> Path:
    flip(path, path.stat().st_size // 2)
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def of_another_layout(path: Path) -> Path:
    """A state that is whole, but of another program: its name has its own SHA-256."""
    torch.save({"something": "else"}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"{path.name.partition('-')[0]}-{sha256}.pt"))


@pytest.mark.slow
@pytest.mark.faults(
    "a state is truncated, empty, has a flipped bit, or is of another layout",
    "train",
    "named and removed; it goes on from the state before it, with the same weights at the end",
)
@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, of_another_layout])
def test_a_bad_state_leaves_the_one_before_it(
    undisturbed: Path, cold: None, tmp_path: Path, damage: Callable[[Path], Path]
) -> None:
    run, states = stopped(undisturbed, tmp_path / "results")
    bad = damage(states[-1])
    done = perform(tmp_path / "results", "train", NAME)
    assert done.returncode == 0, done.stderr
    assert f"{bad.name}: " in done.stderr
    assert "taking the state before it" in done.stderr
    assert "beginning anew" not in done.stderr
    assert digest(run.weights(NAME)) == digest(Run(undisturbed / CONFIG.run).weights(NAME))


@pytest.mark.slow
@pytest.mark.faults(
    "both states are damaged, and a file has a name that is none of a state",
    "train",
    "said on stderr; it begins anew, with the same weights at the end",
)
def test_without_a_good_state_it_begins_anew(undisturbed: Path, cold: None, tmp_path: Path) -> None:
    run, states = stopped(undisturbed, tmp_path / "results")
    for path in states:
        flip_a_bit(path)
    (states[0].parent / "000000001-of-somebody.pt").write_bytes(b"no state")
    done = perform(tmp_path / "results", "train", NAME)
    assert done.returncode == 0, done.stderr
    assert "no good state is left: beginning anew" in done.stderr
    assert digest(run.weights(NAME)) == digest(Run(undisturbed / CONFIG.run).weights(NAME))
