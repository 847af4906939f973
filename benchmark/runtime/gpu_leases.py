"""Leases of GPUs: jobs that run side by side on one machine never share one."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.storage.locks import Lock, lock, open_lock

_FOLDER = Path("/tmp/benchmark-gpus")  # of locks: not of TMPDIR, which can differ by user
LEASED = "BENCHMARK_GPUS"  # environment variable: what this process or its parent has leased
VISIBLE = "CUDA_VISIBLE_DEVICES"
LEASE_POLL_SECONDS = 1.0


def lease(
    count: int = 1,
    position: int | None = None,
    *,
    installed: Sequence[str] | None = None,
    folder: Path = _FOLDER,
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
        The leased GPUs; empty, where there is none, where SLURM hands them out, or where files
        cannot be locked, which stderr says.

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
    names = found if position is None else [found[position]]
    try:
        leased = _wait_for(names, count, folder)
    except OSError as error:
        print(
            f"warning: {folder}: {error.strerror}: without locks on files there, jobs that run "
            f"side by side may share a GPU: give each its own by {VISIBLE}",
            file=sys.stderr,
            flush=True,
        )
        return []
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
    """Ask nvidia-smi, which does not initialise CUDA: that would fix what is visible.

    Why this is not asked of NVML: see `benchmark/core/nvml.py`.
    """
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return []
    except subprocess.TimeoutExpired:
        raise BenchmarkError(
            f"device: {' '.join(command)} does not answer: restart the driver, or use device: cpu"
        ) from None
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).split())
        print(
            f"warning: {' '.join(command)}: failed with status {done.returncode}: {told}: jobs "
            f"that run side by side may share a GPU: give each its own by {VISIBLE}",
            file=sys.stderr,
            flush=True,
        )
        return []
    return done.stdout.split()


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
        time.sleep(LEASE_POLL_SECONDS)
    return taken


def _take(names: Sequence[str], count: int, folder: Path) -> list[str]:
    """Lock the first `count` free ones; none, where there are fewer.

    Raises:
        OSError: files cannot be opened there, or not be locked.
    """
    taken: dict[str, int] = {}
    with contextlib.ExitStack() as files:
        _open(folder / "taking.lock", files, wait=True)  # one process that looks at a time
        for name in names:
            file = _open(folder / f"{name.replace('/', '-')}.lock", files)
            if file is not None:
                taken[name] = file
            if len(taken) == count:
                # Copies stay open, and so hold the locks, until this process ends.
                for file in taken.values():
                    os.dup(file)
                return list(taken)
    return []


def _open(path: Path, files: contextlib.ExitStack, wait: bool = False) -> int | None:
    """Return the descriptor of a lock file while it is locked, or None if another has the lock."""
    with _for_all_users():
        file = open_lock(path)
    files.callback(os.close, file)
    found = lock(file, wait)
    if found is Lock.NONE:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    return file if found is Lock.HELD else None


def _make_for_all(folder: Path) -> None:
    """Make a folder in which all users may write, unless it is there."""
    with _for_all_users(), contextlib.suppress(FileExistsError):
        folder.mkdir()


@contextlib.contextmanager
def _for_all_users() -> Iterator[None]:
    """Let all users of the machine read and write what is made inside the block."""
    usual = os.umask(0)
    try:
        yield
    finally:
        os.umask(usual)
