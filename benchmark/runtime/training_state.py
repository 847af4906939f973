"""The state of a long job: written whole or not at all, checked when it is read."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmark.core.errors import BenchmarkError
from benchmark.runtime.memory_retry import is_out_of_memory
from benchmark.storage.atomic import atomic_path, remove_leftovers, write_text

KEPT = 2  # a damaged newest state leaves the one before it
UNFINISHED = "writing.pt"  # what a state is called until its SHA-256 is known
_NAME = re.compile(r"(\d{9,})-([0-9a-f]{64})\.pt")  # step and SHA-256


def save_state(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the state reached at `step` and drop all but the newest two.

    The file's name ends in its SHA-256, by which a damaged one is found.
    """

    def name_of(written: Path) -> str:
        return f"{step:09d}-{_digest(written)}.pt"

    with atomic_path(folder / UNFINISHED, name_of) as temporary:
        torch.save(state, temporary)
    *older, newest = _states(folder)
    for old in older[: 1 - KEPT]:
        old.unlink(missing_ok=True)
    return newest


def load_state(
    folder: Path,
    device: torch.device,
    fits: Callable[[dict[str, Any]], bool],
    clear: bool = True,
) -> dict[str, Any] | None:
    """Return the newest state that is whole and fits, or None where there is none.

    Another one is named on stderr and removed, and the one before it is taken.

    Args:
        folder: of the states.
        device: for its tensors.
        fits: whether a state has the parts that are looked for in it.
        clear: whether this process removes, and tells of it; of several one does.

    Raises:
        BenchmarkError: there is not enough memory for it.
    """
    if not clear:
        found = (_read(path, device) for path in reversed(_states(folder)))
        return next((state for state in found if state is not None and fits(state)), None)
    remove_leftovers(folder / UNFINISHED)
    states = _states(folder)
    for path in reversed(states):
        state = _read(path, device)
        if state is not None and fits(state):
            return state
        wrong = "damaged" if state is None else "of another layout"
        print(f"{path}: {wrong}: removed, taking the state before it", file=sys.stderr)
        path.unlink(missing_ok=True)
    if states:
        print(f"{folder}: no good state is left: beginning anew", file=sys.stderr)
    return None


def bind_state(folder: Path, code: dict[str, str], what: str) -> None:
    """Remove the states in a folder unless they are of this code, which is noted there.

    Args:
        folder: of the states.
        code: a hash of each module that the job depends on, by its name.
        what: the job, for the line on stderr that tells of it.
    """
    note = folder / "code.json"
    known = _read_note(note)
    if known == code:
        return
    if states := _states(folder):
        changed = sorted(name for name in {*known, *code} if known.get(name) != code.get(name))
        print(
            f"{what}: the code has changed since its state was saved ({', '.join(changed)}): "
            "beginning anew",
            file=sys.stderr,
        )
        for path in states:
            path.unlink(missing_ok=True)
    write_text(note, json.dumps(code, indent=1))


def _read_note(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or it is damaged: of unknown code
        return {}
    return content if isinstance(content, dict) else {}


def last_state(folder: Path) -> str:
    """Name the newest saved state, for a message."""
    states = _states(folder)
    return str(states[-1]) if states else "none yet"


def _read(path: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the content of a state, or None where it is not what was written."""
    if path.stem.partition("-")[2] != _digest(path):
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, MemoryError, pickle.UnpicklingError, EOFError, ValueError) as error:
        if is_out_of_memory(error):  # which says nothing of the file
            raise BenchmarkError(
                f"{path}: out of memory while it is read: free some and run the command again"
            ) from None
        return None
    return state if isinstance(state, dict) else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _states(folder: Path) -> list[Path]:
    """Return the states by step: a clock that was set back changes nothing."""
    found = [path for path in folder.glob("*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (int(path.name.partition("-")[0]), path.name))
