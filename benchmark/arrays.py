"""Arrays on disk of which only a block at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from benchmark.atomic import atomic_path


def write_blocks(
    path: Path, blocks: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: DTypeLike
) -> None:
    """Write an array as .npy, atomically.

    Args:
        path: the file.
        blocks: successive parts of the array, as their values follow each other in memory.
        shape: of the whole.
        dtype: of the whole and of each block.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write_into(file, blocks, shape, dtype)


def write_into(
    file: BinaryIO, blocks: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: DTypeLike
) -> None:
    """Write an array into a file; unlike a memory map this tells a full disk as an error."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in blocks:
        file.write(block.tobytes())


def read_blocks(path: Path, rows: range, size: int) -> Iterator[NDArray[Any]]:
    """Yield successive rows of an .npy file, `size` at a time.

    A memory map would keep in memory all that has been read.
    """
    whole = np.load(path, mmap_mode="r")
    length = whole[:1].size
    for start in rows[::size]:
        count = min(size, rows.stop - start)
        offset = whole.offset + start * length * whole.itemsize
        block = np.fromfile(path, whole.dtype, count * length, offset=offset)
        yield block.reshape(count, *whole.shape[1:])
