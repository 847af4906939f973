"""Where the members of a tar file lie, by their headers.

The headers that tar programs usually write are read here, several times as fast as `tarfile` does.
A file with any other one is left to `tarfile` as a whole. The format is that of POSIX.1-2001, pax.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from benchmark.core.errors import BenchmarkError

BLOCK = 512  # bytes; a header is one block
FOLDER = "folder"
LINK = "link"
_ZEROS = bytes(BLOCK)
_BATCH = 1024  # headers whose checksums are compared at a time
_SUM = slice(148, 156)  # where a header has its checksum, which counts as spaces itself
_NUMBER = rb"(?:[0-7]{7}[\0 ]|[0-7]{6}(?:\0 | \0))"
_LONG = rb"[0-7]{11}[\0 ]"
# A header after its name: mode, uid, gid; size; time; checksum; type; the name of a link; magic;
# names of user and group; numbers of a device. The prefix of the name follows.
_HEADER = re.compile(
    rb"%b{3}([0-7]{11})[\0 ]%b(%b)([05x\0]).{100}ustar(\x0000|  \0).{64}(?:%b|\0{8}){2}"
    % (_NUMBER, _LONG, _NUMBER, _NUMBER),
    re.DOTALL,
)
_PREFIX = slice(345, 500)
_RECORD = re.compile(rb"([1-9][0-9]{0,2}) ([a-z]+)=")  # of a pax header: its length and its key
_TIMES = (b"mtime", b"atime", b"ctime")


class Head(NamedTuple):
    """What the header of a member says.

    Attributes:
        name: path of the member.
        start: where its bytes begin.
        size: number of its bytes.
        kind: why there are no bytes of its own; empty: they are there.
        target: the member whose bytes a hard link has; empty: it is none.
    """

    name: str
    start: int
    size: int
    kind: str = ""
    target: str = ""


def heads(path: Path) -> list[Head]:
    """Return what the headers of a tar file say.

    Raises:
        BenchmarkError: it cannot be read, is damaged, or is no tar.
    """
    try:
        with path.open("rb") as file:
            found = usual(file)
            return list(_others(path, file)) if found is None else found
    except OSError as error:
        raise BenchmarkError(f"path: {path}: cannot be read: {error.strerror}") from None
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise BenchmarkError(
            f"path: {path}: not a whole tar file that is not compressed: {error}"
        ) from None


def usual(file: IO[bytes]) -> list[Head] | None:
    """Return the headers of a file that has none but usual ones; None: it has others.

    Usual are files and folders in the formats ustar, pax and GNU, with names of up to 255 bytes, or
    in a pax header of one block; an archive that is whole; and right checksums.
    """
    found: list[Head] = []
    blocks: list[bytes] = []
    sums: list[bytes] = []
    number, offset, end = file.fileno(), 0, os.fstat(file.fileno()).st_size
    while True:
        three = os.pread(number, 3 * BLOCK, offset)
        block = three[:BLOCK]
        if block == _ZEROS or (not block and found and offset == end):
            return found if _right(blocks, sums) else None
        match = _HEADER.match(block, 100)
        if match is None or len(block) < BLOCK:
            return None
        name: str | None = None
        if match[3] == b"x":
            name = _pax(three[BLOCK : 2 * BLOCK], int(match[1], 8))
            blocks.append(block)
            sums.append(match[2])
            offset += 2 * BLOCK
            block = three[2 * BLOCK :]
            match = _HEADER.match(block, 100)
            if name is None or match is None or match[3] == b"x" or len(block) < BLOCK:
                return None
        blocks.append(block)
        sums.append(match[2])
        if len(blocks) >= _BATCH:
            if not _right(blocks, sums):
                return None
            blocks, sums = [], []
        size = int(match[1], 8)
        head = _head(name or _name(block, match[4]), offset + BLOCK, size, match[3])
        if head is None:
            return None
        found.append(head)
        offset += BLOCK + -(-size // BLOCK) * BLOCK
        if offset > end:
            return None


def _head(name: str, start: int, size: int, kind: bytes) -> Head | None:
    """Return a header; None: it is not usual."""
    if kind == b"5":
        name = name.rstrip("/")
        return Head(name, start, 0, FOLDER) if name and not size else None
    return Head(name, start, size) if name and not name.endswith("/") else None


def _right(blocks: list[bytes], sums: list[bytes]) -> bool:
    """Tell whether headers have the checksums that they name."""
    if not blocks:
        return True
    table = np.frombuffer(b"".join(blocks), np.uint8).reshape(-1, BLOCK)
    spaces = ord(" ") * (_SUM.stop - _SUM.start)
    summed = table.sum(1, dtype=np.int64) - table[:, _SUM].sum(1, dtype=np.int64) + spaces
    return bool((summed == [int(told.rstrip(b"\0 "), 8) for told in sums]).all())


def _name(block: bytes, version: bytes) -> str:
    """Return the name in a header; that of ustar may have a prefix."""
    name, prefix = _text(block[:100]), _text(block[_PREFIX])
    if not prefix:
        return name
    return f"{prefix}/{name}" if version == b"\x0000" else ""  # elsewhere it means other things


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(tarfile.ENCODING, "surrogateescape")


def _pax(block: bytes, size: int) -> str | None:
    """Return the name in a pax header, empty if it has none; None: it is not usual."""
    if not 0 < size <= len(block):
        return None
    name, at = "", 0
    while at < size:
        record = _RECORD.match(block, at)
        if record is None:
            return None
        stop = at + int(record[1])
        value = block[record.end() : stop - 1]
        if stop > size or record.end() >= stop or block[stop - 1 : stop] != b"\n" or b"\0" in value:
            return None
        if record[2] == b"path":
            try:
                name = value.decode().rstrip("/")
            except UnicodeDecodeError:
                return None
            if not name:
                return None
        elif record[2] not in _TIMES:
            return None
        at = stop
    return name


def _others(path: Path, file: IO[bytes]) -> Iterator[Head]:
    """Yield the headers of any tar file, by `tarfile`."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (found := archive.next()) is not None:
            target = found.linkname if found.islnk() else ""
            yield Head(found.name, found.offset_data, found.size, _lacking(found), target)
        file.seek(archive.offset)
        # The library takes a damaged header for the end, which is a block of zeros.
        if file.read(BLOCK).strip(b"\0") or file.seek(0, 2) < archive.offset:
            raise BenchmarkError(f"path: {path}: damaged, or not whole: fetch it again")


def _lacking(found: tarfile.TarInfo) -> str:
    """Return why the bytes of a member do not lie behind its header; empty if they do."""
    if found.isdir():
        return FOLDER
    if found.issym() or found.islnk():
        return LINK
    if found.issparse():
        return "sparse file"
    return "" if found.isreg() else "no regular file"
