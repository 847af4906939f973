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

_FOLDER = Path("/tmp/benchmark-gpus")  # of the locks; TMPDIR may differ from user to user
LEASED = "BENCHMARK_GPUS"  # environment variable: GPUs that this process or its parent leased
VISIBLE = "CUDA_VISIBLE_DEVICES"
LEASE_POLL_SECONDS = 1.0


def lease(
    count: int = 1,
    position: int | None = None,
    *,
    installed: Sequence[str] | None = None,
    folder: Path = _FOLDER,
) -> list[str]:
    """Lease free GPUs for this process and its children; wait until enough of them are free.

    CUDA_VISIBLE_DEVICES is set to the leased GPUs, so call this before CUDA is initialised. If it
    is set already, only the GPUs that it shows are taken. All are taken at once or none, so that
    two jobs never wait for each other. The lease ends with this process. In a job of SLURM, which
    assigns GPUs itself, nothing is leased unless it has more GPUs than are asked for: then several
    commands share them.

    Args:
        count: number of GPUs.
        position: take the GPU at this place among the visible ones, as `cuda:1` does.
        installed: UUIDs of the machine's GPUs in nvidia-smi's order; None: nvidia-smi is asked.
        folder: folder of the lock files, which all users of the machine share.

    Returns:
        UUIDs of the leased GPUs; none if the machine has none, if SLURM assigns them, or if files
        cannot be locked, of which stderr warns.

    Raises:
        BenchmarkError: too few GPUs are visible, or several are asked for at one position.
    """
    if position is not None and count > 1:
        told = f"cuda:{position} is one GPU and {count} are needed"
        raise BenchmarkError(f"device: {told}: use cuda or auto")
    if LEASED in os.environ:
        return os.environ[LEASED].split(",")
    found = visible(_installed() if installed is None else installed, os.environ.get(VISIBLE))
    if not found or ("SLURM_JOB_ID" in os.environ and len(found) <= count):
        return []
    wanted = max(count, 1 + (position or 0))
    if len(found) < wanted:
        raise BenchmarkError(
            f"device: {wanted} GPUs are needed and {len(found)} visible: {','.join(found)}: ask "
            f"for fewer, or show more in {VISIBLE}"
        )
    try:
        leased = _wait_for(found if position is None else [found[position]], count, folder)
    except OSError as error:
        _warn(f"{folder}: {error.strerror}: without locks on files there, jobs")
        return []
    os.environ[LEASED] = os.environ[VISIBLE] = ",".join(leased)
    return leased


def _warn(reason: str) -> None:
    """Print that jobs may share a GPU, after the reason, whose last word is "jobs"."""
    print(
        f"warning: {reason} that run side by side may share a GPU: give each its own by {VISIBLE}",
        file=sys.stderr,
        flush=True,
    )


def visible(installed: Sequence[str], shown: str | None) -> list[str]:
    """Return the UUIDs of the GPUs that CUDA_VISIBLE_DEVICES shows, in its order.

    Args:
        installed: UUIDs of the machine's GPUs in nvidia-smi's order.
        shown: value of the variable: numbers, UUIDs or their beginnings; None: it is not set. As
            in CUDA, an unknown or a repeated GPU ends the list. Names of parts of a GPU (MIG) are
            returned unchanged.
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
    """Return the UUIDs of the machine's GPUs.

    nvidia-smi tells them. To ask CUDA would initialise it, and fix which GPUs it shows. Why NVML is
    not asked: see `benchmark/core/nvml.py`.
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
        _warn(f"{' '.join(command)}: failed with status {done.returncode}: {told}: jobs")
        return []
    return done.stdout.split()


def _wait_for(names: Sequence[str], count: int, folder: Path) -> list[str]:
    """Return `count` of these GPUs once they are leased."""
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
    """Lock the first `count` free GPUs and return them; lock none if fewer are free.

    Raises:
        OSError: a lock file cannot be opened or locked.
    """
    taken: dict[str, int] = {}
    with contextlib.ExitStack() as files:
        _open(folder / "taking.lock", files, wait=True)  # one process at a time
        for name in names:
            file = _open(folder / f"{name.replace('/', '-')}.lock", files)
            if file is not None:
                taken[name] = file
            if len(taken) == count:
                # Duplicated descriptors stay open, and hold the locks, until this process ends.
                for file in taken.values():
                    os.dup(file)
                return list(taken)
    return []


def _open(path: Path, files: contextlib.ExitStack, wait: bool = False) -> int | None:
    """Return the descriptor of a lock file that is now locked; None: another process locks it."""
    with _for_all_users():
        file = open_lock(path)
    files.callback(os.close, file)
    found = lock(file, wait)
    if found is Lock.NONE:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    return file if found is Lock.HELD else None


def _make_for_all(folder: Path) -> None:
    """Make a folder in which all users may write, unless it exists."""
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
