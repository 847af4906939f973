"""Only one process at a time does a job, and none repeats what another has just done."""

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
from benchmark.runtime.stopping import EXIT_RUN_AGAIN, Stopped
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
    """Lock a job inside the block, after waiting for another process that holds its lock.

    On a file system without locks, a warning on stderr says that nothing is locked.

    Args:
        run: the run in whose folder the job writes.
        kind: the kind of the job's record.
        name: the name of what the job makes.
        spec: the specification that the record will have.
        is_spent: tells whether no time is left for waiting.

    Yields:
        The record, if the other process has meanwhile done a job of this specification. None: the
        job must be done.

    Raises:
        BenchmarkError: the folder cannot be written.
        Stopped: no time is left.
    """
    record, path = run.record(kind, name), run.lock(kind, name)
    before = read_if_present(record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_lock(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        _wait(file, path, is_spent)
        yield _done_meanwhile(record, before, spec)
    finally:
        os.close(file)


def read_if_present(path: Path) -> bytes | None:
    """Return the bytes of a file; None if it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _done_meanwhile(path: Path, before: bytes | None, spec: dict[str, Any]) -> Record | None:
    """Return the record if it was written since its bytes were `before`, and has this spec."""
    if read_if_present(path) in (None, before):
        return None
    record = read_record(path)
    if record.spec_hash != spec_hash(spec):
        return None
    print(f"{path}: another process has done this job meanwhile", file=sys.stderr, flush=True)
    return record


def _wait(file: int, path: Path, is_spent: Callable[[], bool]) -> None:
    """Wait until a lock file is locked by this process, or turns out to support no lock."""
    found = lock(file, wait=False)
    if found is Lock.BUSY:
        print(f"waiting for another process at this job: {path}", file=sys.stderr, flush=True)
    while found is Lock.BUSY:
        if is_spent():
            raise Stopped(
                EXIT_RUN_AGAIN, f"{path}: another process was at this job until the time was up"
            )
        time.sleep(POLL_SECONDS)
        found = lock(file, wait=False)
    if found is Lock.NONE:
        print(
            f"warning: {path}: this file system has no locks: start this job in one process at a "
            "time",
            file=sys.stderr,
            flush=True,
        )
