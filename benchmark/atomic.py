"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import BenchmarkError


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with its own line ends."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`; a reader sees the old file or the new one."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path` that takes its name when the block ends well.

    The name keeps the suffix of `path`, for writers that go by it. Missing folders are made. When
    the block raises, the file is removed and `path` is as it was.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    temporary = _new_file_beside(path)
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush(path.parent)


def _new_file_beside(path: Path) -> Path:
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise BenchmarkError(
            f"{path}: cannot be written: {error.strerror}: choose a folder that can be written"
        ) from None
    return temporary


def _flush(path: Path) -> None:
    """Hand `path`, a file or a folder, to the disk, so that a power cut cannot undo the rename."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
