"""Arrays on disk that are read and written a block at a time, with a checksum against damage.

The checksum is the SHA-256 of all bytes before it. It follows the data at the end of the file,
which readers of .npy ignore. Prepared images have theirs in the manifest of their data set instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import mmap
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.storage.atomic import atomic_path

MARK = b"\nSHA-256\n"  # before the digest
TRAILER = len(MARK) + hashlib.sha256().digest_size
PART = 2**20  # bytes that are hashed at a time
HASHED = 4096  # rows that are hashed at a time


class Digest(Protocol):
    """A hash, as those of hashlib."""

    def update(self, data: Any, /) -> object:
        """Add bytes."""


class SupportsWrite(Protocol):
    """A file, or whatever else bytes can be written to."""

    def write(self, data: bytes, /) -> object:
        """Write `data`."""


def write_blocks(
    path: Path, blocks: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: DTypeLike
) -> None:
    """Write an array as .npy with its SHA-256, atomically.

    Args:
        path: the file.
        blocks: successive parts of the array, in C order.
        shape: shape of the whole array.
        dtype: type of the whole array and of each block.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        hashing = _Hashing(file)
        write_into(hashing, blocks, shape, dtype)
        file.write(MARK + hashing.sha256.digest())


def write_placed(
    path: Path, rows: Iterable[tuple[int, NDArray[Any]]], shape: tuple[int, ...], dtype: DTypeLike
) -> None:
    """Write an array, whose rows come in any order, as `write_blocks` does.

    Args:
        path: the file.
        rows: the place of each row along the first axis, and the row.
        shape: shape of the whole array.
        dtype: type of the whole array and of each row.
    """
    size = math.prod(shape[1:]) * np.dtype(dtype).itemsize
    with atomic_path(path) as temporary, temporary.open("w+b") as file:
        write_into(file, (), shape, dtype)
        start = file.tell()
        for place, row in rows:
            file.seek(start + place * size)
            file.write(row.tobytes())
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").digest()  # leaves the file at its end
        file.write(MARK + digest)


def write_into(
    file: SupportsWrite, blocks: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: DTypeLike
) -> None:
    """Write an array into a file in the .npy format.

    On a full disk this raises an error, where writing to a memory map would kill the process.

    Args:
        file: an open binary file.
        blocks: successive parts of the array, in C order.
        shape: shape of the whole array.
        dtype: type of the whole array and of each block.
    """
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in blocks:
        file.write(block.tobytes())


class _Hashing:
    """A file that is written and hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> object:
        self.sha256.update(data)
        return self.file.write(data)


def open_array(path: Path, is_hashed: bool = True) -> NDArray[Any]:
    """Check the bytes of an .npy file and return its array, memory-mapped and read-only.

    The array may have any shape and type. A file that another program wrote has no checksum, so
    that only its length is checked.

    Args:
        path: the file.
        is_hashed: whether the checksum is compared. Without it only the length is checked, for
            callers that check the bytes in another way.

    Raises:
        BenchmarkError: the file is missing, truncated or damaged.
    """
    again = "remove it and make it again by the command that wrote it"
    try:
        if is_hashed and not _is_whole(path):
            raise ValueError("its bytes are not as they were written")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        behind = path.stat().st_size - array.offset - array.nbytes  # type: ignore[attr-defined]
        if behind not in (0, TRAILER):
            raise ValueError(f"{behind} bytes follow its values")
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read: {error.strerror}: {again}") from None
    except Exception as error:  # on a damaged header numpy's reader raises almost anything
        line = one_line(error)
        raise BenchmarkError(f"{path}: damaged: {line}: {again}") from None
    return array


def is_intact(path: Path) -> bool:
    """Tell whether a file is there and undamaged; if it is damaged, a warning says so on stderr."""
    if not path.exists():
        return False
    try:
        open_array(path)
    except BenchmarkError as error:
        print(f"warning: {error}: made anew", file=sys.stderr)
        return False
    return True


def read_blocks(path: Path, rows: range, size: int) -> Iterator[NDArray[Any]]:
    """Yield successive rows of the array in an .npy file, `size` at a time.

    Unlike a memory map, this does not keep in memory what has been read.

    Args:
        path: the file, with an array of shape N×….
        rows: the rows to read.
        size: number of rows in a block; the last block may have fewer.

    Yields:
        Blocks of shape size×….
    """
    whole = np.load(path, mmap_mode="r")
    length = whole[:1].size
    for start in rows[::size]:
        count = min(size, rows.stop - start)
        offset = whole.offset + start * length * whole.itemsize
        block = np.fromfile(path, whole.dtype, count * length, offset=offset)
        yield block.reshape(count, *whole.shape[1:])


def release_pages(array: NDArray[Any]) -> None:
    """Take the pages of a memory-mapped, read-only array, or of a view of one, out of memory.

    What has been read stays in the memory of a process until it ends, or until the system has none
    left. The values do not change: they are read again where they are needed. Of any other array
    nothing is released.

    Args:
        array: an array of any shape and type.
    """
    owner: Any = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if isinstance(owner, np.memmap) and owner.mode == "r" and isinstance(owner.base, mmap.mmap):
        with contextlib.suppress(OSError, AttributeError):  # a system without this advice
            owner.base.madvise(mmap.MADV_DONTNEED)


def add_rows(digest: Digest, array: NDArray[Any]) -> None:
    """Add the bytes of an array, of any shape and type, to a hash, a few rows at a time.

    Args:
        digest: the hash.
        array: the array; if it is mapped, its pages are released.
    """
    for start in range(0, len(array), HASHED):
        digest.update(np.ascontiguousarray(array[start : start + HASHED]).data)
        release_pages(array)


def _is_whole(path: Path) -> bool:
    """Tell whether a file has the SHA-256 that stands at its end, or has none there."""
    left = path.stat().st_size - TRAILER
    with path.open("rb") as file:
        file.seek(max(left, 0))
        trailer = file.read()
        if not trailer.startswith(MARK):
            return True
        file.seek(0)
        digest = hashlib.sha256()
        while left > 0 and (part := file.read(min(PART, left))):
            digest.update(part)
            left -= len(part)
    return trailer == MARK + digest.digest()
