"""Locks on files. One process at a time holds a lock. Some file systems support no locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

# What a file system answers when another process has the lock.
LOCKED_BY_ANOTHER = {errno.EAGAIN, errno.EACCES}


class Lock(Enum):
    """What became of an attempt to lock a file."""

    HELD = "held by this process, until it closes the file or ends in whatever way"
    BUSY = "held by another process"
    NONE = "unavailable: the file system has no locks"


def lock(file: int, wait: bool = True) -> Lock:
    """Lock an open file.

    A file system without locks answers with one of several errors, such as ENOLCK, ENOTSUP or
    ENOSYS. The caller must then go on without the lock.

    Args:
        file: descriptor of the file; on NFS it must be open for writing.
        wait: whether to wait until another process releases the lock.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return Lock.BUSY if error.errno in LOCKED_BY_ANOTHER else Lock.NONE
    return Lock.HELD


def open_lock(path: Path) -> int:
    """Return the descriptor of a lock file, which is made where it is missing.

    Never remove it: a process that waits for the removed file and one that makes a new file would
    then both get a lock.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, os.O_CREAT | os.O_RDWR, 0o666)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Wait for the lock of a lock file, and hold it inside the block.

    Args:
        path: the lock file, which is made where it is missing.

    Yields:
        `Lock.HELD`, or `Lock.NONE` on a file system without locks.

    Raises:
        OSError: the file cannot be opened.
    """
    file = open_lock(path)
    try:
        yield lock(file)
    finally:
        os.close(file)
