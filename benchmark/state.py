"""The state of a long job: written whole or not at all, checked when it is read."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import torch

from benchmark.atomic import atomic_path

KEPT = 2  # a damaged newest state leaves the one before it


def save_state(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the state reached at `step` and drop all but the newest two.

    The file's name ends in its SHA-256, by which a damaged one is found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "writing.pt") as temporary:
        torch.save(state, temporary)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    path = folder / f"{step:09d}-{digest}.pt"
    (folder / "writing.pt").replace(path)
    for old in _states(folder)[:-KEPT]:
        old.unlink()
    return path


def load_state(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the newest state that is whole, or None where there is none.

    A damaged state is named on stderr and removed, and the one before it is taken.
    """
    for unfinished in folder.glob(".writing-*"):  # of a process that was killed while saving
        unfinished.unlink()
    for path in reversed(_states(folder)):
        if hashlib.sha256(path.read_bytes()).hexdigest() == path.stem.split("-", 1)[1]:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            return state
        print(f"{path}: damaged, taking the state before it", file=sys.stderr)
        path.unlink()
    return None


def last_state(folder: Path) -> str:
    """Name the newest saved state, for a message."""
    states = _states(folder)
    return str(states[-1]) if states else "none yet"


def _states(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*-*.pt"))
