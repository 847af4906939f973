"""A zip file of images, as StyleGAN's and EDM's `dataset_tool.py` write it."""

from __future__ import annotations

import contextlib
import functools
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import UserPath, shown
from benchmark.data.image_files import MOST_BYTES, open_bytes, printable, refuse
from benchmark.data.labels import numbered
from benchmark.data.listing import entry_kind
from benchmark.data.packed import EARLIER, Album, Packed, existing, no_images
from benchmark.data.sources.base import Item
from benchmark.data.zip_entries import Entry, limits, open_entry
from benchmark.data.zip_entries import entry as place
from benchmark.storage.npz import BROKEN

TABLE = "dataset.json"  # has `labels`: pairs of the path of an image and the number of its class
# An entry beyond this size that was packed to less than a hundredth is a bomb, and no image:
# formats of images leave little to pack, and bitmaps of one colour are not so large.
LARGE, TIGHT = 2**26, 100
AT_A_TIME = 2**12  # bytes of an entry that `zipfile` is asked for


class Zip(Packed):
    """All images in a zip file, in the order of their paths, drawn by seed."""

    source: Literal["zip"] = "zip"
    path: UserPath = Field(description="The zip file", examples=["photos.zip"])
    label: Literal["dataset.json", "folders"] | None = Field(
        default=None,
        description="dataset.json: that file in the zip tells the class of each image, as those of "
        "EDM and StyleGAN do; folders: each folder at the top of the zip is a class",
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell whether a file is a zip."""
        return path.is_file() and zipfile.is_zipfile(path)

    def origin(self) -> str:
        """Return the path."""
        return str(self.path)

    def packed_files(self) -> tuple[Path, list[str]]:
        """Return the folder and the name of the file."""
        return existing(self.path).parent, [self.path.name]

    def list_images(self, folder: Path, files: Sequence[str]) -> Album:
        """Read the directory of the zip."""
        path = folder / files[0]
        entries, places, ignored = _entries(path)
        if not entries:
            raise no_images(path, ignored, "a zip of image files would be right")
        classes, labels = self._labels(path, [entry.filename for entry in entries])
        read = functools.partial(_read, path, entries, places, labels)
        return Album(len(entries), read, classes, ignored)

    def _labels(
        self, path: Path, names: Sequence[str]
    ) -> tuple[tuple[str, ...], Sequence[int | None]]:
        if self.label is None:
            return (), [None] * len(names)
        if self.label == "folders":
            for name in names:
                if "/" not in name:
                    raise BenchmarkError(
                        f"label: {path}: {shown(name)} has no class: it lies in no folder"
                    )
            return numbered([name.partition("/")[0] for name in names], path)
        told = _table(path)
        for name in names:
            if name not in told:
                raise BenchmarkError(f"label: {path}: {TABLE} has no class for {shown(name)}")
        for name in sorted(told.keys() - set(names)):
            raise BenchmarkError(
                f"label: {path}: {TABLE} has a class for {shown(name)}, which is no image there"
            )
        return numbered([told[name] for name in names], f"{path}: {TABLE}")


def _entries(
    path: Path,
) -> tuple[list[zipfile.ZipInfo], list[Entry | None], dict[str, int]]:
    """Return the images in a zip, sorted by path, where they lie, and the others by kind.

    Returns:
        The entries; where each of them lies, None for one that is left to `zipfile`; and the number
        of other entries by kind.
    """
    entries, ignored = dict[str, zipfile.ZipInfo](), Counter[str]()
    try:
        with zipfile.ZipFile(path) as archive:
            listed, directory = archive.infolist(), archive.start_dir
    except BROKEN as error:
        raise BenchmarkError(f"path: {path}: not a whole zip file: {one_line(error)}") from None
    for entry in listed:
        name = entry.filename
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise BenchmarkError(
                f"path: {path}: {shown(name)} leads out of the zip: pack it again without it"
            )
        if entry.is_dir() or name == TABLE:
            continue
        if kind := entry_kind(name):
            ignored[kind] += 1
            continue
        _check(path, entry)
        if name in entries:
            ignored[EARLIER] += 1
        entries[name] = entry
    images = [entries[name] for name in sorted(entries)]
    ends = limits([entry.header_offset for entry in listed], directory)
    places = [place(image, ends[image.header_offset]) for image in images]
    return images, places, dict(sorted(ignored.items()))


def _check(path: Path, entry: zipfile.ZipInfo) -> None:
    """Refuse an image that is encrypted, or that would unpack to more than an image has."""
    if entry.flag_bits & 1:
        raise BenchmarkError(
            f"path: {path}: {shown(entry.filename)} is encrypted: pack it again without a password"
        )
    size, packed = entry.file_size, entry.compress_size
    if size > MOST_BYTES or (size > LARGE and size > TIGHT * packed):
        raise BenchmarkError(
            f"path: {path}: {shown(entry.filename)} would unpack from {packed:,} to {size:,} "
            "bytes, as no image does: leave it out"
        )


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes of an entry.

    They are unpacked a little at a time: at once, `zipfile` unpacks all that bzip2 and LZMA hold,
    and only then cuts it to the size that the directory states.
    """
    with archive.open(entry) as packed:
        return b"".join(iter(functools.partial(packed.read, AT_A_TIME), b""))


def _table(path: Path) -> dict[str, object]:
    """Return the class of each image that `dataset.json` names."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(TABLE)
            _check(path, entry)
            pairs = json.loads(_unpacked(archive, entry))["labels"]
        found = {str(name): number for name, number in pairs}
    except KeyError:
        raise BenchmarkError(
            f"label: {path}: no {TABLE} with `labels` in it: leave label out, or write the zip by "
            "EDM's dataset_tool.py from images with labels"
        ) from None
    except (*BROKEN, TypeError) as error:
        raise BenchmarkError(
            f"label: {path}: {TABLE}: `labels` should be a list of pairs of the path of an image "
            f"and the number of its class: {one_line(error)}"
        ) from None
    return found


def _read(
    path: Path,
    entries: Sequence[zipfile.ZipInfo],
    places: Sequence[Entry | None],
    labels: Sequence[int | None],
    indices: Sequence[int],
) -> Iterator[Item]:
    file = str(path)
    with contextlib.ExitStack() as stack:
        archive: zipfile.ZipFile | None = None
        for index in indices:
            name, found = printable(entries[index].filename), places[index]
            if found is not None:
                yield Item(name, functools.partial(open_entry, file, found), labels[index])
                continue
            archive = archive or stack.enter_context(zipfile.ZipFile(path))
            try:
                content = _unpacked(archive, entries[index])
            except BROKEN as error:
                yield Item(name, functools.partial(refuse, one_line(error)), labels[index])
                continue
            load = functools.partial(open_bytes, content)
            yield Item(name, load, labels[index], len(content))
