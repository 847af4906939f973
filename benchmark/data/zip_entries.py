"""Reads one entry of a zip from where its directory says that it lies.

`zipfile` must read the directory first, and locks the file: so only one process would read.
"""

from __future__ import annotations

import itertools
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import Image

from benchmark.data.image_files import open_bytes, read_span

# What is read here; what is compressed otherwise is left to `zipfile`.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = struct.Struct("<4s22xHH")  # of an entry: signature, sizes of its name and its extra field
_PATCHED, _STRONG, _UTF8 = 0x20, 0x40, 0x800  # flags


class Entry(NamedTuple):
    """Where an entry lies, and what the directory says of it.

    Attributes:
        start: where its header begins.
        limit: where the next entry or the directory begins.
        name: its name, as it is written there.
        method: how it is compressed.
        packed: number of its bytes in the file.
        size: number of its bytes.
        crc: checksum of these.
    """

    start: int
    limit: int
    name: bytes
    method: int
    packed: int
    size: int
    crc: int


def limits(starts: Sequence[int], directory: int) -> Mapping[int, int]:
    """Return where the entry after each one begins, or after the last one the directory.

    Args:
        starts: where the headers of all entries begin.
        directory: where the directory begins.
    """
    return dict(itertools.pairwise([*sorted({*starts}), directory]))


def entry(info: zipfile.ZipInfo, limit: int) -> Entry | None:
    """Return where an entry lies; None: it is of a kind that is left to `zipfile`."""
    if info.compress_type not in METHODS or info.flag_bits & (_PATCHED | _STRONG):
        return None
    name = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
    sizes = info.compress_size, info.file_size
    return Entry(info.header_offset, limit, name, info.compress_type, *sizes, info.CRC)


def open_entry(path: str, found: Entry) -> Image.Image:
    """Open an image that is an entry of a zip; raise ValueError where it is not whole."""
    return open_bytes(read_entry(path, found))


def read_entry(path: str, found: Entry) -> bytes:
    """Return the content of an entry, which never becomes longer than the directory says.

    Args:
        path: the zip.
        found: the entry.

    Raises:
        OSError: the file cannot be read.
        ValueError: the entry is damaged, or lies over another one.
    """
    before = _HEADER.size + len(found.name)
    # Extra fields are mostly short. One read is enough for most entries.
    room = min(before + 64 + found.packed, found.limit - found.start)
    content = read_span(path, found.start, room)
    if len(content) < _HEADER.size:
        raise ValueError("lies over another entry")
    signature, named, extra = _HEADER.unpack_from(content)
    start = _HEADER.size + named + extra
    if signature != b"PK\3\4" or content[_HEADER.size : _HEADER.size + named] != found.name:
        raise ValueError("its header is another one than the directory of the zip says")
    if start + found.packed > found.limit - found.start:
        raise ValueError("lies over another entry")
    packed = content[start : start + found.packed]
    if len(packed) < found.packed:
        packed = read_span(path, found.start + start, found.packed)
    whole = packed if found.method == zipfile.ZIP_STORED else _inflated(packed, found.size)
    if len(whole) != found.size:
        raise ValueError(f"has not the {found.size:,} bytes that the directory of the zip says")
    if zlib.crc32(whole) != found.crc:
        raise ValueError("Bad CRC-32: it is damaged")
    return whole


def _inflated(packed: bytes, size: int) -> bytes:
    """Return what was deflated, or one byte more than `size` where it is longer."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"is damaged: {error}") from None
