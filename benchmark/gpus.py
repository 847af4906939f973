"""Leases of GPUs: jobs that run side by side on one machine never share one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.errors import BenchmarkError

FOLDER = Path("/tmp/benchmark-gpus")  # of locks: not of TMPDIR, which can differ by user
LEASED = "BENCHMARK_GPUS"  # environment variable: what this process or its parent has leased
VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 1.0
READ_AND_WRITE = 0o666  # for all users of the machine

_held: list[FileLock] = []  # a lock that nobody refers to is released


def lease(
    count: int = 1,
    position: int | None = None,
    *,
    installed: Sequence[str] | None = None,
    folder: Path = FOLDER,
) -> list[str]:
    """Take free GPUs for this process and its children; wait until there are as many.

    CUDA_VISIBLE_DEVICES is set to them, so this must come before CUDA is initialised. They are
    taken all together or not at all, so that two jobs never wait for each other, from those that
    CUDA_VISIBLE_DEVICES shows, where it is set. They are free again when this process has ended, in
    whatever way. SLURM hands out GPUs by itself: in its jobs nothing is leased, unless there are
    more than are asked for, since then jobs run side by side there.

    Args:
        count: how many.
        position: take the one at this place among the visible ones, as `cuda:1` does.
        installed: UUIDs of the machine's GPUs in nvidia-smi's order; None: nvidia-smi is asked.
        folder: of the locks, shared by all users of the machine.

    Returns:
        The leased GPUs; empty, where there is none or where SLURM hands them out.

    Raises:
        BenchmarkError: fewer are visible than are asked for, or several at one place.
    """
    if position is not None and count > 1:
        raise BenchmarkError(
            f"device: cuda:{position} is one GPU and {count} are needed: use cuda or auto"
        )
    if LEASED in os.environ:
        return os.environ[LEASED].split(",")
    found = visible(_installed() if installed is None else installed, os.environ.get(VISIBLE))
    if not found:
        return []
    wanted = max(count, 1 + (position or 0))
    if "SLURM_JOB_ID" in os.environ and len(found) <= count:
        return []
    if len(found) < wanted:
        raise BenchmarkError(
            f"device: {wanted} GPUs are needed and {len(found)} visible: {','.join(found)}: ask "
            f"for fewer, or show more in {VISIBLE}"
        )
    leased = _wait_for(found if position is None else [found[position]], count, folder)
    os.environ[LEASED] = os.environ[VISIBLE] = ",".join(leased)
    return leased


def visible(installed: Sequence[str], shown: str | None) -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES shows, in its order, by their UUIDs.

    Args:
        installed: UUIDs of the machine's GPUs in nvidia-smi's order.
        shown: the variable's value: numbers, UUIDs or their beginnings; None: it is not set. As in
            CUDA, an unknown or a repeated one ends the list. Parts of a GPU (MIG) are kept as they
            are named.
    """
    if shown is None:
        return list(installed)
    found: list[str] = []
    for name in map(str.strip, shown.split(",")):
        match = [name] if name.startswith("MIG-") and installed else _matching(name, installed)
        if len(match) != 1 or match[0] in found:
            break
        found += match
    return found


def _matching(name: str, installed: Sequence[str]) -> Sequence[str]:
    if name.isdecimal():
        return installed[int(name) : int(name) + 1]
    return [uuid for uuid in installed if name and uuid.startswith(name)]


def _installed() -> list[str]:
    """Ask nvidia-smi, which does not initialise CUDA: that would fix what is visible."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return []
    except subprocess.TimeoutExpired:
        raise BenchmarkError(
            f"device: {' '.join(command)} does not answer: restart the driver, or use device: cpu"
        ) from None
    return done.stdout.split() if done.returncode == 0 else []


def _wait_for(names: Sequence[str], count: int, folder: Path) -> list[str]:
    _make_for_all(folder)
    waiting = False
    while len(taken := _take(names, count, folder)) < count:
        if not waiting:
            print(
                f"waiting for {count} of the GPUs {','.join(names)}: other jobs hold them "
                f"(locks in {folder})",
                file=sys.stderr,
                flush=True,
            )
        waiting = True
        time.sleep(POLL_SECONDS)
    return taken


def _take(names: Sequence[str], count: int, folder: Path) -> list[str]:
    """Lock the first `count` free ones; none, where there are fewer."""
    taken: dict[str, FileLock] = {}
    with FileLock(folder / "taking.lock", mode=READ_AND_WRITE):  # one that looks at a time
        for name in names:
            lock = FileLock(folder / f"{name.replace('/', '-')}.lock", mode=READ_AND_WRITE)
            with contextlib.suppress(Timeout):
                lock.acquire(blocking=False)
                taken[name] = lock
            if len(taken) == count:
                _held.extend(taken.values())
                return list(taken)
        for lock in taken.values():
            lock.release()
    return []


def _make_for_all(folder: Path) -> None:
    """Make a folder in which all users may write, unless it is there."""
    usual = os.umask(0)
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
    finally:
        os.umask(usual)
