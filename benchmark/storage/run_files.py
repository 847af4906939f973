"""The files of a run, from its folder or from a bundle, which is checked before it is used.

A bundle is a zip whose first entry, `bundle.json`, names every other one with its size and SHA-256.
Entries are stored, not compressed: the same files give the same bytes with every version of zlib,
and no entry can grow when it is read. Entries are never unpacked to the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import StrictModel, explain
from benchmark.storage.atomic import atomic_path

SUFFIX = ".zip"
CONTENTS = "bundle.json"
VERSION = 1
LARGEST_FILE = 2**30  # bytes of a bundle: pictures and records, no arrays
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can state
# Errors of the standard library for damaged zips and manifests; OSError for an impossible position.
_BROKEN = (zipfile.BadZipFile, struct.error, EOFError, ValueError, RuntimeError, OSError)


class RunFiles(Protocol):
    """The files of a run, by their paths in it with `/` between the parts."""

    def matching(self, pattern: str) -> list[str]:
        """Return the files that match a pattern, as `plots/*.png`, sorted by their parts."""

    def read(self, name: str) -> bytes:
        """Return the content of one of them."""


def open_run(path: Path) -> RunFiles:
    """Return the files of a run folder or of a bundle.

    Raises:
        BenchmarkError: there is neither, or the bundle is not whole.
    """
    if path.is_dir():
        return _Folder(path)
    if path.is_file():
        return Archive(path)
    raise BenchmarkError(f"{path}: no such run: neither a folder nor a bundle is there")


class _Folder:
    """The folder of a run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def matching(self, pattern: str) -> list[str]:
        """Return the files that match a pattern, without hidden ones, which are unfinished."""
        found = [path.relative_to(self.root) for path in self.root.glob(pattern) if path.is_file()]
        return [path.as_posix() for path in sorted(found) if not path.name.startswith(".")]

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.root / name).read_bytes()


class _Entry(StrictModel):
    """What the manifest says of a file."""

    sha256: str
    size: int


class _Manifest(StrictModel):
    """The list of the files in a bundle."""

    version: int
    files: dict[str, _Entry]


class Archive:
    """A bundle, all of whose files have been checked against its manifest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size > LARGEST_FILE:
            raise self._broken(f"larger than {LARGEST_FILE} bytes")
        with self._opened() as archive:
            self._check_entries(archive)
            self.files = self._manifest(archive).files
            self._check_names(archive)
            for name in self.files:
                self._read(archive, name)

    def matching(self, pattern: str) -> list[str]:
        """Return the files that match a pattern."""
        depth = len(PurePosixPath(pattern).parts)
        paths = sorted(PurePosixPath(name) for name in self.files)
        return [str(p) for p in paths if len(p.parts) == depth and p.match(pattern)]

    def read(self, name: str) -> bytes:
        """Return the content of a file, checked again."""
        with self._opened() as archive:
            return self._read(archive, name)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        """Yield the zip; errors of a damaged one are raised as BenchmarkError."""
        with self.path.open("rb") as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    yield archive
            except _BROKEN as error:
                raise self._broken(one_line(error)) from None

    def _check_entries(self, archive: zipfile.ZipFile) -> None:
        """Refuse entries that `write_archive` never writes, before any entry is read."""
        entries = archive.infolist()
        names: set[str] = set()
        for entry in entries:
            if not _is_plain(entry.filename) or entry.filename != entry.orig_filename:
                raise self._broken(f"{entry.filename!r} is no path inside a run")
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
                raise self._broken(f"{entry.filename} is no plain file")
            if entry.filename in names:
                raise self._broken(f"{entry.filename} is in it twice")
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise self._broken(f"{entry.filename} is compressed or encrypted")
            if entry.file_size != entry.compress_size:
                raise self._broken(f"{entry.filename} has two sizes")
            names.add(entry.filename)
        if sum(entry.file_size for entry in entries) > self.path.stat().st_size:
            raise self._broken("its files are larger than itself")

    def _manifest(self, archive: zipfile.ZipFile) -> _Manifest:
        if CONTENTS not in archive.namelist():
            raise BenchmarkError(
                f"{self.path}: no bundle: it has no {CONTENTS}: give a run folder, or what "
                "`python -m benchmark bundle RUN` wrote"
            )
        content = json.loads(archive.read(CONTENTS))
        version = content.get("version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise BenchmarkError(
                f"{self.path}: bundle version {version} is newer than {VERSION}, which this "
                "version reads: update the benchmark"
            )
        try:
            return _Manifest.model_validate(content)
        except ValidationError as error:
            raise self._broken(f"{CONTENTS}: {explain(error, content)}") from None

    def _check_names(self, archive: zipfile.ZipFile) -> None:
        for name in set(archive.namelist()).symmetric_difference({CONTENTS, *self.files}):
            where = CONTENTS if name in self.files else "the zip"
            raise self._broken(f"{name} is in {where} alone")

    def _read(self, archive: zipfile.ZipFile, name: str) -> bytes:
        data = archive.read(name)
        if _entry(data) != self.files[name]:
            raise self._broken(f"{name} is not as it was packed")
        return data

    def _broken(self, why: str) -> BenchmarkError:
        return BenchmarkError(f"{self.path}: broken bundle: {why}: get it, or pack it, again")


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle, atomically; the same files give the same bytes.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    entries = {name: _entry(data) for name, data in sorted(files.items())}
    manifest = _Manifest(version=VERSION, files=entries).model_dump_json(indent=1)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in [(CONTENTS, manifest.encode()), *sorted(files.items())]:
            entry = zipfile.ZipInfo(name, FIRST_DAY)
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)


def _entry(data: bytes) -> _Entry:
    return _Entry(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def _is_plain(name: str) -> bool:
    """Tell whether a name is a relative path that stays within its folder, on every system."""
    return not re.search(r"[\\:\x00-\x1f]", name) and not {"", ".", ".."} & set(name.split("/"))
