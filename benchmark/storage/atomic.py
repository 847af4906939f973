"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.storage.locks import Lock, lock

FULL = {errno.ENOSPC, errno.EDQUOT}
FULL_DISK = "the disk is full: make room and run the command again"
PROBE = bytes(2**20)  # written to find out whether the disk is full
# Errors of fsync on file systems that do not support it, mostly for folders.
NO_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically, with its line ends unchanged."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` atomically: a reader sees the old file or the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def atomic_path(path: Path, rename: Callable[[Path], str] | None = None) -> Iterator[Path]:
    """Write a file beside `path` and rename it to `path` when the block ends without an error.

    Missing folders are made. When the block raises, the new file is removed and `path` stays as it
    was. Unfinished files of `path` that killed processes left behind are removed too.

    Args:
        path: the file that is to appear.
        rename: function that takes the written file and returns its name, which otherwise is that
            of `path`.

    Yields:
        An empty file in the same folder to write to. It has the suffix of `path`, because some
        libraries choose their format by it.

    Raises:
        BenchmarkError: the folder cannot be written, or the disk is full.
    """
    with _new_file_beside(path) as temporary:
        try:
            yield temporary
            flush(temporary)
            temporary.replace(path.with_name(rename(temporary)) if rename else path)
        except BenchmarkError:
            raise
        except Exception as error:
            if _is_full(error, temporary):
                raise BenchmarkError(f"{path}: {FULL_DISK}") from None
            raise
        finally:
            temporary.unlink(missing_ok=True)
    flush(path.parent)


def flush(path: Path) -> None:
    """Have `path`, a file or a folder, written to the disk, so that a power cut undoes no rename.

    Nothing happens on a file system that does not support this, as some network file systems do not
    for folders.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FLUSH:
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def _new_file_beside(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path`, which is locked until the block ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        temporary, handle = _create(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        yield temporary
    finally:
        os.close(handle)


def _create(path: Path) -> tuple[Path, int]:
    while True:
        temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        lock(handle)
        if temporary.exists():
            return temporary, handle
        os.close(handle)  # another process took it for a leftover before it was locked


def remove_leftovers(path: Path) -> None:
    """Remove the unfinished files of `path` that no process has locked: their writers were killed.

    On a file system without locks nothing is removed, since a writer may still be alive.
    """
    unfinished = f".{glob.escape(path.stem)}-{'[0-9a-f]' * 8}{glob.escape(path.suffix)}"
    for leftover in path.parent.glob(unfinished):
        with contextlib.suppress(OSError), leftover.open("rb+") as file:
            if lock(file.fileno(), wait=False) is Lock.HELD:
                leftover.unlink(missing_ok=True)


def _is_full(error: Exception, temporary: Path) -> bool:
    """Tell whether a full disk caused `error`: many libraries raise other errors for it."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    try:
        with temporary.open("ab") as file:
            file.write(PROBE)
            os.fsync(file.fileno())
    except OSError as found:
        return found.errno in FULL
    return False


def cannot_write(path: Path, error: OSError) -> BenchmarkError:
    """Return the error that says why a file cannot be written, and what to do."""
    if error.errno in FULL:
        return BenchmarkError(f"{path}: {FULL_DISK}")
    why = f"cannot be written: {error.strerror}: choose a folder that can be written"
    return BenchmarkError(f"{path}: {why}")
