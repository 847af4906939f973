"""Members of tars and entries of zips are found where `tarfile` and `zipfile` find them."""

from __future__ import annotations

import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmark.core.errors import BenchmarkError
from benchmark.data import tar_headers
from benchmark.data.image_files import read_span
from benchmark.data.tar_headers import FOLDER, Head, heads, usual
from benchmark.data.zip_entries import entry, limits, read_entry

ANY_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class Member(NamedTuple):
    """A member that is to be written."""

    name: str
    content: bytes
    kind: bytes
    time: float


names = st.one_of(
    st.text("abc.é/ ", min_size=1, max_size=12),
    st.text("ab", min_size=95, max_size=105),
    st.lists(st.text("ab", min_size=40, max_size=60), min_size=2, max_size=5).map("/".join),
).map(lambda name: name.strip("/") or "x")
members = st.lists(
    st.builds(
        Member,
        names,
        st.binary(max_size=1200),
        st.sampled_from([tarfile.REGTYPE] * 6 + [tarfile.DIRTYPE, tarfile.SYMTYPE]),
        st.sampled_from([0, 12, 1.5]),
    ),
    max_size=6,
)
formats = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


def written(path: Path, found: list[Member], kind: int) -> Path:
    with tarfile.open(path, "w", format=kind) as archive:
        for member in found:
            info = tarfile.TarInfo(member.name)
            info.type, info.mtime = member.kind, member.time  # type: ignore[assignment]
            if member.kind == tarfile.SYMTYPE:
                info.linkname = "x"
            if member.kind == tarfile.REGTYPE:
                info.size = len(member.content)
            try:
                archive.addfile(info, io.BytesIO(member.content))
            except ValueError:  # a name that ustar cannot hold
                continue
    return path


def by_tarfile(path: Path) -> list[tuple[str, str, bytes | None]]:
    found: list[tuple[str, str, bytes | None]] = []
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            kind = FOLDER if member.isdir() else "" if member.isreg() else "link"
            file = archive.extractfile(member) if member.isreg() else None
            found.append((member.name, kind, file and file.read()))
    return found


def by_heads(path: Path, found: list[Head]) -> list[tuple[str, str, bytes | None]]:
    return [
        (h.name, h.kind, None if h.kind else read_span(str(path), h.start, h.size)) for h in found
    ]


@ANY_FOLDER
@given(members, formats)
def test_members_lie_where_tarfile_finds_them(
    tmp_path: Path, found: list[Member], kind: int
) -> None:
    path = written(tmp_path / "a.tar", found, kind)
    assert by_heads(path, heads(path)) == by_tarfile(path)


@ANY_FOLDER
@given(members, formats, st.integers(0, 4000), st.integers(0, 255), st.booleans())
def test_a_damaged_tar_is_read_as_tarfile_reads_it_or_refused(
    tmp_path: Path, found: list[Member], kind: int, at: int, value: int, cut: bool
) -> None:
    path = written(tmp_path / "a.tar", found, kind)
    content = bytearray(path.read_bytes())
    at %= len(content)
    content[at] = value
    path.write_bytes(content[:at] if cut else content)
    with path.open("rb") as file:
        fast = usual(file)
    if fast is None:
        return
    with path.open("rb") as file:
        assert fast == list(tar_headers._others(path, file))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_usual_tars_need_no_tarfile(
    kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [Member(f"a/{i}.png", bytes(i), tarfile.REGTYPE, 1.5) for i in range(1500)]
    path = written(tmp_path / "a.tar", [Member("a", b"", tarfile.DIRTYPE, 0), *many], kind)
    expected = by_tarfile(path)
    monkeypatch.setattr(tar_headers, "_others", lambda *_: pytest.fail("left to tarfile"))
    assert by_heads(path, heads(path)) == expected


@pytest.mark.parametrize("kind", ["v7", "oldgnu", "gnu", "ustar", "pax"])
@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
def test_tars_of_gnu_tar_are_read(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "a").mkdir(parents=True)
    for number in range(4):
        (folder / "a" / f"{number}.png").write_bytes(bytes([number]) * (300 * number))
    (folder / "a" / "link.png").hardlink_to(folder / "a" / "1.png")
    if kind != "v7":
        (folder / ("b" * 120)).write_bytes(b"long")
    path = tmp_path / "a.tar"
    command = ["tar", f"--format={kind}", "-C", str(folder), "-cf", str(path), "."]
    if kind == "ustar":
        command.insert(2, "--exclude=b*")  # a name that it cannot hold
    subprocess.run(command, check=True)
    found = heads(path)
    expected = by_tarfile(path)
    assert [head.name for head in found] == [name for name, *_ in expected]
    assert len({head.target for head in found if head.target}) == 1
    for head, (*_, content) in zip(found, expected, strict=True):
        if not head.kind:
            assert read_span(str(path), head.start, head.size) == content


def changed(content: bytes, **fields: bytes) -> bytes:
    """Return a header with other fields, and the checksum of these."""
    block = bytearray(content)
    for place, value in fields.items():
        at = int(place.removeprefix("at"))
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "fields",
    [
        {"at124": b"\x80" + bytes(10) + b"\x05"},  # a size in base 256
        {"at124": b"        5\0 "},
        {"at100": b"    644\0"},
        {"at156": b"7"},
        {"at156": b"\0"},
        {"at257": bytes(8)},  # of the time before ustar
        {"at257": b"ustar  \0", "at345": b"00000000001\0"},  # GNU's time of access
        {"at345": b"before"},
        {"at0": b"\xff\0"},
    ],
)
def test_unusual_headers_are_read_as_tarfile_reads_them(
    fields: dict[str, bytes], tmp_path: Path
) -> None:
    path = written(
        tmp_path / "a.tar", [Member("a.png", b"12345", b"0", 0)] * 2, tarfile.USTAR_FORMAT
    )
    content = path.read_bytes()
    path.write_bytes(changed(content[:512], **fields) + content[512:])
    assert by_heads(path, heads(path)) == by_tarfile(path)


@pytest.mark.parametrize(
    "pax", [{"comment": "x"}, {"path": "é/b.png"}, {"size": "5"}, {"GNU.sparse.major": "1"}]
)
def test_unusual_pax_headers_are_read_as_tarfile_reads_them(
    pax: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "a.tar"
    for archive_wide in (False, True):
        headers = pax if archive_wide else {}
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers=headers) as archive:
            info = tarfile.TarInfo("a.png")
            info.size, info.pax_headers = 5, {} if archive_wide else pax
            archive.addfile(info, io.BytesIO(b"12345"))
        with tarfile.open(path, "r:") as archive:
            expected = [(m.name, m.offset_data, m.size) for m in archive]
        assert [head[:3] for head in heads(path)] == expected


# zip

REFUSED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(ValueError, RuntimeError, EOFError, OSError),  # RuntimeError: it is encrypted
)
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def read_as(path: Path, read: Callable[[zipfile.ZipFile, zipfile.ZipInfo, int], bytes]) -> Any:
    """Return the content of each entry by its name; None: it is refused."""
    found: dict[str, bytes | None] = {}
    with zipfile.ZipFile(path) as archive:
        ends = limits([info.header_offset for info in archive.infolist()], archive.start_dir)
        for info in archive.infolist():
            try:
                found[info.filename] = read(archive, info, ends[info.header_offset])
            except REFUSED:
                found[info.filename] = None
    return found


def by_place(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    place = entry(info, limit)
    assert archive.filename is not None
    return archive.read(info) if place is None else read_entry(archive.filename, place)


def by_zipfile(archive: zipfile.ZipFile, info: zipfile.ZipInfo, _: int) -> bytes:
    return archive.read(info)


entries = st.dictionaries(
    st.text("ab.é/", min_size=1, max_size=8),
    st.tuples(st.binary(max_size=600), st.sampled_from(METHODS), st.binary(max_size=90)),
    max_size=5,
)


def zipped(path: Path, found: dict[str, tuple[bytes, int, bytes]], before: bytes = b"") -> Path:
    path.write_bytes(before)
    with zipfile.ZipFile(path, "a" if before else "w") as archive:
        for name, (content, method, extra) in found.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.extra = b"\xfe\xca" + len(extra).to_bytes(2, "little") + extra
            archive.writestr(info, content)
    return path


@ANY_FOLDER
@given(entries, st.sampled_from([b"", b"#!/bin/sh\n"]))
def test_entries_lie_where_zipfile_finds_them(
    tmp_path: Path, found: dict[str, tuple[bytes, int, bytes]], before: bytes
) -> None:
    path = zipped(tmp_path / "a.zip", found, before)
    expected = {name: content for name, (content, *_) in found.items()}
    assert read_as(path, by_place) == read_as(path, by_zipfile) == expected


TWO = {
    "aaaaaa": (b"\x00\x10 0@P", zipfile.ZIP_BZIP2, bytes(2)),
    "aaaaaaéé": (b"\x00\x00\x00\x00\x01\x00", zipfile.ZIP_DEFLATED, bytes(9)),
}


@ANY_FOLDER
@given(entries, st.integers(0, 4000), st.integers(0, 255))
@example(TWO, 161, 1)  # now it is encrypted, to believe the directory
@example(dict(reversed(TWO.items())), 162, 0)  # now its name is in another encoding
def test_a_damaged_entry_is_never_taken_for_another(
    tmp_path: Path, found: dict[str, tuple[bytes, int, bytes]], at: int, value: int
) -> None:
    path = zipped(tmp_path / "a.zip", found)
    content = bytearray(path.read_bytes())
    content[at % len(content)] = value
    path.write_bytes(content)
    try:
        expected = read_as(path, by_zipfile)
    except REFUSED:
        return
    for name, read in read_as(path, by_place).items():
        # Where `zipfile` minds what an entry needs not to be read, it is what was written; by any
        # name, where the name itself is damaged.
        of_name = [found[name]] if name in found else found.values()
        assert read in (None, expected[name], *(written for written, *_ in of_name))


def test_an_entry_over_another_one_and_one_that_grows_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": (b"1" * 2000, METHODS[1], b""), "b": (b"2", 0, b"")})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("a")
    place = entry(info, 10**6)
    assert place is not None
    assert read_entry(str(path), place) == b"1" * 2000
    with pytest.raises(ValueError, match="lies over another entry"):
        read_entry(str(path), place._replace(limit=place.start + 40))
    for size in (10, 3000):
        with pytest.raises(ValueError, match=r"has not the .* bytes that the directory"):
            read_entry(str(path), place._replace(size=size))
    with pytest.raises(ValueError, match="Bad CRC-32"):
        read_entry(str(path), place._replace(crc=1))
    with pytest.raises(ValueError, match="its header is another one"):
        read_entry(str(path), place._replace(name=b"c"))
    with pytest.raises(ValueError, match="the file ends before"):
        read_span(str(path), 0, 10**6)


def test_a_tar_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"gone\.tar: cannot be read: No such file"):
        heads(tmp_path / "gone.tar")
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(BenchmarkError, match="not a whole tar file that is not compressed: empty"):
        heads(tmp_path / "a.tar")
