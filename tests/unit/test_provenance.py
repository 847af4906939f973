"""What a record says of the machine and the code, by tools that may fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.records import provenance as records
from benchmark.runtime import gpu_leases as gpus
from benchmark.runtime import machine_state


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    records._git.cache_clear()
    yield
    records._git.cache_clear()


def put(folder: Path, name: str, script: str, patch: pytest.MonkeyPatch) -> None:
    """Put a program of this name before all others."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("exit 0", ("abc", False)),
        ("echo ' M benchmark/stages/train.py'", ("abc", True)),
        ("exit 128", ("abc", None)),
    ],
)
def test_a_checkout_of_which_git_cannot_tell_changes_is_not_called_unchanged(
    status: str,
    expected: tuple[str, bool | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = f"case $1 in rev-parse) echo abc;; status) {status};; esac"
    put(tmp_path, "git", script, monkeypatch)
    assert records._git() == expected


def test_without_a_commit_nothing_is_said_of_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "git", "exit 128", monkeypatch)
    assert records._git() == (None, None)


def test_a_gpu_tool_that_fails_is_named_and_nothing_it_prints_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    put(
        tmp_path,
        "nvidia-smi",
        "echo 'GPU-a1 1980 MHz, 0x4'; echo mismatch >&2; exit 9",
        monkeypatch,
    )
    assert gpus._installed() == []
    assert "failed with status 9: mismatch: jobs that run side by side" in capfd.readouterr().err
    monkeypatch.setattr(machine_state, "gpu_uuid", lambda device: "GPU-a1")
    cuda = type("Device", (), {"type": "cuda"})()
    assert machine_state.gpu_state(cuda) == (None, None)
