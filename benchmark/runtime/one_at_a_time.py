"""One process at a time at one job, and none at what another one has just done."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.core.canonical import spec_hash
from benchmark.records.record import Record, read_record
from benchmark.runtime.stopping import AGAIN, Stopped
from benchmark.storage.atomic import cannot_write
from benchmark.storage.locks import Lock, lock, open_lock
from benchmark.storage.paths import Run

POLL_SECONDS = 0.5


@contextlib.contextmanager
def one_at_a_time(
    run: Run,
    kind: str,
    name: str,
    spec: dict[str, Any],
    is_spent: Callable[[], bool] = lambda: False,
) -> Iterator[Record | None]:
    """Keep other processes from a job inside the block; first wait for one that is at it.

    On a file system without locks nothing keeps them away, which stderr says.

    Args:
        run: in whose folder the job writes.
        kind: of the job's record.
        name: of what the job makes.
        spec: of the record.
        is_spent: whether there is no time left for waiting.

    Yields:
        The record of this spec that the other process has written meanwhile: the job is done.
        None: it is to be done.

    Raises:
        BenchmarkError: the folder cannot be written.
        Stopped: there is no time left.
    """
    record, path = run.record(kind, name), run.lock(kind, name)
    before = content(record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_lock(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        _wait(file, path, is_spent)
        yield _made(record, before, spec)
    finally:
        os.close(file)


def content(path: Path) -> bytes | None:
    """Return the bytes of a file, or None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _made(path: Path, before: bytes | None, spec: dict[str, Any]) -> Record | None:
    """Return the record of a job that was written since `before` was read, if it has this spec."""
    if content(path) in (None, before):
        return None
    record = read_record(path)
    if record.spec_hash != spec_hash(spec):
        return None
    print(f"{path}: another process has done this job meanwhile", file=sys.stderr, flush=True)
    return record


def _wait(file: int, path: Path, is_spent: Callable[[], bool]) -> None:
    found = lock(file, wait=False)
    if found is Lock.BUSY:
        print(f"waiting for another process at this job: {path}", file=sys.stderr, flush=True)
    while found is Lock.BUSY:
        if is_spent():
            raise Stopped(AGAIN, f"{path}: another process was at this job until the time was up")
        time.sleep(POLL_SECONDS)
        found = lock(file, wait=False)
    if found is Lock.NONE:
        print(
            f"warning: {path}: this file system has no locks: start this job in one process at a "
            "time",
            file=sys.stderr,
            flush=True,
        )
