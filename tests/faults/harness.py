"""Runs the smallest grid verb by verb, as a user would, and compares the results."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import load_config
from benchmark.runtime import warm
from benchmark.storage.paths import Run

PROJECT = Path(__file__).parents[2]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"
CONFIG = load_config(SMOKE)
CELLS = [cell.id for cell in CONFIG.cells]
TRAININGS = list(CONFIG.trainings)
CONTROLS = CONFIG.controls_of("tiny")
JOBS = [
    ("prepare", "tiny"),
    *(("train", name) for name in TRAININGS),
    *(("sample", name) for name in CELLS),
    ("controls", "tiny"),
    *(("features", name) for name in ["tiny", *CELLS, CONTROLS]),
    *((verb, name) for verb in ("evaluate", "retrieve") for name in [*CELLS, CONTROLS]),
]
FIGURES = ("tables", "plots", "site")
# Files of a run that the next job reads. `drawn` has what a larger row takes over.
ARRAYS = (
    "data/*/images.npy",
    "models/*",
    "samples/*/*",
    "samples/*/drawn/samples/*/*",
    "features/*/*",
    "neighbours/*",
)
# Parts of a record that differ from run to run, or that describe the machine.
OF_TIME = {"provenance", "timing", "step_laps", "contention"}


@contextmanager
def warm_processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Warm processes with this process's environment; they do the jobs that begin meanwhile."""
    processes = warm.start(SMOKE)
    yield processes
    del os.environ[warm.FOLDER]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def command(results: Path, verb: str, name: str = "") -> list[str]:
    """The command line of a verb; figures need no name."""
    module = [sys.executable, "-m", "benchmark", verb]
    if verb in FIGURES:
        return [*module, str(results / CONFIG.run)]
    return [*module, str(SMOKE), name, "--results", str(results)]


def perform(
    results: Path, verb: str, name: str = "", prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return subprocess.run(
        [*prefix, *command(results, verb, name)], cwd=PROJECT, capture_output=True, text=True
    )


def succeed(results: Path, verb: str, name: str = "", prefix: tuple[str, ...] = ()) -> str:
    """Run a verb that must end well; return what it said on stderr."""
    done = perform(results, verb, name, prefix)
    assert done.returncode == 0, done.stderr
    return done.stderr


def fail(results: Path, verb: str, name: str = "", prefix: tuple[str, ...] = ()) -> str:
    """Run a verb that must fail as a user's mistake does; return the one line that says why."""
    done = perform(results, verb, name, prefix)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    return lines[0]


def outcome(results: Path) -> dict[str, Any]:
    """What a run found: hashes of its arrays and weights, and its records but for times."""
    root = results / CONFIG.run
    found: dict[str, Any] = {}
    for pattern in ARRAYS:
        found |= {str(p.relative_to(root)): digest(p) for p in visible(root, pattern)}
    for path in visible(root, "records/*/*.json"):
        content = json.loads(path.read_bytes())
        kept = {key: value for key, value in content.items() if key not in OF_TIME}
        kept["values"] = {k: v for k, v in content["values"].items() if "second" not in k}
        if kept.get("embedding"):
            kept["embedding"].pop("from_cache", None)
        found[str(path.relative_to(root))] = kept
    return found


def visible(root: Path, pattern: str) -> list[Path]:
    found = sorted(root.glob(pattern))
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def digests(root: Path) -> dict[str, str]:
    """Hashes of all files below a folder."""
    return {str(p.relative_to(root)): digest(p) for p in sorted(root.rglob("*")) if p.is_file()}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unfinished(root: Path) -> list[Path]:
    """Files that a process has begun and not finished."""
    return [p for p in root.rglob(".*-????????.*") if p.is_file()]


def flip(path: Path, at: int = -1) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


def copy_run(source: Path, target: Path) -> Run:
    """Copy a results folder with its caches; return the run."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    return Run(target / CONFIG.run)


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[None]:
    """A disk of this size at `folder`, where root can mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    folder.mkdir(exist_ok=True)
    call = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(call, capture_output=True).returncode:
        pytest.skip("this machine mounts no file systems")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    """Make a mounted disk read-only (`ro`) or not (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write a file until the disk is full."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast
