"""An LMDB of images, as LSUN is published."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from pydantic import Field

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import UserPath
from benchmark.data.image_files import open_bytes, refuse
from benchmark.data.labels import numbered
from benchmark.data.packed import Album, Packed, existing, no_images
from benchmark.data.sources.base import Item

DATA = "data.mdb"
MAGIC, PLACE = (0xBEEFC0DE).to_bytes(4, "little"), 16  # of the first page, behind its header


class Keys(NamedTuple):
    """The keys of one database, sorted as they lie in it."""

    folder: Path
    start: int
    keys: list[bytes]


class Lmdb(Packed):
    """All values of an LMDB, in the order of their keys, each of which is an image file."""

    source: Literal["lmdb"] = "lmdb"
    path: UserPath = Field(
        description="Folder of an LMDB (data.mdb), as church_outdoor_train_lmdb of LSUN; or a "
        "folder of several",
        examples=["church_outdoor_train_lmdb"],
    )
    label: Literal["folders"] | None = Field(
        default=None, description="folders: each LMDB in `path` is a class, named as its folder"
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell whether a folder is an LMDB, or has some."""
        return path.is_dir() and bool(_databases(path))

    def origin(self) -> str:
        """Return the path."""
        return str(self.path)

    def packed_files(self) -> tuple[Path, list[str]]:
        """Return the folder, and the files of its databases."""
        path = existing(self.path)
        found = _databases(path) if path.is_dir() else []
        if not found:
            raise no_images(path, {}, f"a folder with {DATA}, or of such folders, would be right")
        return path, found

    def list_images(self, folder: Path, files: Sequence[str]) -> Album:
        """Read the keys."""
        known: list[Keys] = []
        told: list[object] = []
        total = 0
        for file in files:
            place = (folder / file).parent
            with _open(place) as transaction:
                keys = list(transaction.cursor().iternext(keys=True, values=False))
            known.append(Keys(place, total, keys))
            told += [place.name] * len(keys)
            total += len(keys)
        if not total:
            raise no_images(folder, {}, "values that are image files would be right")
        classes, labels = ((), None) if self.label is None else numbered(told, folder)
        return Album(total, functools.partial(_read, known, labels), classes)


def _databases(path: Path) -> list[str]:
    """Return the data files of the LMDB at a folder, or of those directly in it."""
    if (path / DATA).is_file():
        return [DATA]
    return sorted(f"{file.parent.name}/{DATA}" for file in path.glob(f"*/{DATA}"))


@contextlib.contextmanager
def _open(folder: Path) -> Iterator[Any]:
    """Open a database for reading.

    Yields:
        A transaction.

    Raises:
        BenchmarkError: the library is not installed, or the file is damaged.
    """
    lmdb = _library()
    path = folder / DATA
    try:
        with path.open("rb") as file:
            if file.read(PLACE + len(MAGIC))[PLACE:] != MAGIC:
                raise BenchmarkError(f"path: {path}: not an LMDB of a machine like this one")
        # Without locks, since a folder of data may be read-only.
        with lmdb.open(str(folder), readonly=True, lock=False, readahead=False) as environment:
            # The library maps the file: reading beyond its end would end the whole program.
            needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
            if path.stat().st_size < needed:
                raise BenchmarkError(
                    f"path: {path}: has {path.stat().st_size:,} of {needed:,} bytes: fetch it again"
                )
            with environment.begin() as transaction:
                yield transaction
    except (OSError, lmdb.Error) as error:
        raise BenchmarkError(
            f"path: {path}: not a whole LMDB: {one_line(error)}; fetch it again"
        ) from None


def _library() -> ModuleType:
    try:
        import lmdb
    except ImportError:
        raise BenchmarkError(
            "source: lmdb needs a library that is not installed: uv sync --extra lmdb, or "
            "pip install 'diffusion-benchmark[lmdb]'"
        ) from None
    library: ModuleType = lmdb
    return library


def _read(
    known: Sequence[Keys], labels: Sequence[int] | None, indices: Sequence[int]
) -> Iterator[Item]:
    for folder, start, keys in known:
        wanted = [index for index in indices if start <= index < start + len(keys)]
        if not wanted:
            continue
        with _open(folder) as transaction:
            for index in wanted:
                key, content = keys[index - start], None
                try:
                    content = transaction.get(key)
                    load = functools.partial(open_bytes, content)
                except _library().Error as error:  # the others may be whole
                    load = functools.partial(refuse, one_line(error))
                name = key.decode("utf-8", "backslashreplace")
                named = name if len(known) == 1 else f"{folder.name}#{name}"
                label = None if labels is None else labels[index]
                yield Item(named, load, label, len(content or b""))
