"""Saved states of a training: written whole or not at all, and checked when they are read."""

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

KEPT_STATES = 2  # if the newest is damaged, the one before it is there
UNFINISHED = "writing.pt"  # the name of a state until its SHA-256 is known
_NAME = re.compile(r"(\d{9,})-([0-9a-f]{64})\.pt")  # step and SHA-256


def save_state(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the state after `step` steps, remove all but the newest two, and return its path.

    The name of the file ends in its SHA-256, by which a damaged file is recognised.
    """

    def name_of(written: Path) -> str:
        return f"{step:09d}-{_digest(written)}.pt"

    with atomic_path(folder / UNFINISHED, name_of) as temporary:
        torch.save(state, temporary)
    *older, newest = _states(folder)
    for old in older[: 1 - KEPT_STATES]:
        old.unlink(missing_ok=True)
    return newest


def load_state(
    folder: Path,
    device: torch.device,
    fits: Callable[[dict[str, Any]], bool],
    clear: bool = True,
) -> dict[str, Any] | None:
    """Return the newest state that is undamaged and fits; None if there is none.

    Each newer state, which is damaged or does not fit, is named on stderr and removed.

    Args:
        folder: the folder of the states.
        device: the device for the tensors of the state.
        fits: tells whether a state has the layout that is needed.
        clear: whether this process removes files; of several processes, only one does.

    Raises:
        BenchmarkError: the state does not fit into memory.
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


def drop_states_of_other_code(folder: Path, code: dict[str, str], what: str) -> None:
    """Remove the states in a folder that other code has saved, and note this code there.

    Args:
        folder: the folder of the states.
        code: a hash of each module that the job depends on, by the module's name.
        what: the job, as the line on stderr names it.
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
    except (OSError, ValueError):  # it is missing or damaged, so that the code is unknown
        return {}
    return content if isinstance(content, dict) else {}


def last_state(folder: Path) -> str:
    """Return the path of the newest saved state, as a message names it."""
    states = _states(folder)
    return str(states[-1]) if states else "none yet"


def _read(path: Path, device: torch.device) -> dict[str, Any] | None:
    """Return the content of a state; None if the file is damaged."""
    if path.stem.partition("-")[2] != _digest(path):
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, MemoryError, pickle.UnpicklingError, EOFError, ValueError) as error:
        if is_out_of_memory(error):  # the file itself may be undamaged
            raise BenchmarkError(
                f"{path}: out of memory while it is read: free some and run the command again"
            ) from None
        return None
    return state if isinstance(state, dict) else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _states(folder: Path) -> list[Path]:
    """Return the states in the order of their steps, which a wrong clock cannot change."""
    found = [path for path in folder.glob("*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (int(path.name.partition("-")[0]), path.name))
