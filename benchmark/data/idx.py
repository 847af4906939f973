"""The idx format, in which MNIST and its successors are published."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError

GZIP = b"\x1f\x8b"  # the beginning of a file that gzip packed
MAGIC = b"\x00\x00\x08"  # two zeros, and the type of unsigned bytes; the number of axes follows
MOST = 2**31  # bytes of an array


class SupportsRead(Protocol):
    """A file, packed or not."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""


def read_idx(path: Path, raw: bool = False) -> NDArray[np.uint8]:
    """Return the array of an idx file, uint8 of the shape in its header; gzip may have packed it.

    Args:
        path: the file.
        raw: whether all bytes of the unpacked file are returned, its header too, as one axis.

    Raises:
        BenchmarkError: the file cannot be read, or is no such file, or has more or fewer bytes than
            its header says.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.read(len(GZIP)) == GZIP
        with gzip.open(path) if is_packed else path.open("rb") as unpacked:
            shape, header, body = _read(unpacked)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise BenchmarkError(
            f"{path}: no whole idx file of unsigned bytes: {error}: fetch it again"
        ) from None
    content = header + body if raw else body
    array = np.frombuffer(content, np.uint8)
    return array if raw else array.reshape(shape)


def _read(file: SupportsRead) -> tuple[tuple[int, ...], bytes, bytes]:
    """Return the shape, the header and the values; raise ValueError if they do not fit."""
    magic = file.read(4)
    if magic[:3] != MAGIC or len(magic) < 4:
        raise ValueError(f"it begins with {magic.hex() or 'nothing'}, not with {MAGIC.hex()}")
    sizes = file.read(4 * magic[3])
    shape = struct.unpack(f">{magic[3]}I", sizes)
    count = math.prod(shape)
    if count > MOST:
        raise ValueError(f"its header says {count} bytes, more than {MOST}")
    body = file.read(count + 1)  # one more byte would be too many
    if len(body) != count:
        found = f"{len(body)}" if len(body) < count else "more"
        raise ValueError(f"its header says {count} bytes, {found} follow")
    return shape, magic + sizes, body
