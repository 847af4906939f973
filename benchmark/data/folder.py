"""Any folder of images."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import Field

from benchmark.data.base import Candidates, Item, Offer, Photographs, drawn
from benchmark.errors import BenchmarkError

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"}
    | {".pbm", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)


class Folder(Photographs):
    """All images below a folder, in the order of their relative paths, drawn by seed."""

    source: Literal["folder"]
    path: Path = Field(description="The folder")
    licence: str = Field(default="unknown", description="What may be done with the images")
    attribution: str = Field(default="", description="Whom to name")

    def offer(self) -> Offer:
        """List the images; no file is opened."""
        files, ignored = find_images(self.path)
        return Offer(
            train=file_candidates(self.path, files, self.seed),
            held_out=None,
            origin=f"folder {self.path}",
            licence=self.licence,
            attribution=self.attribution,
            skip_bad=self.on_bad_image == "skip",
            ignored=ignored,
        )


def find_images(folder: Path) -> tuple[list[str], dict[str, int]]:
    """Return the relative paths of all images below `folder`, sorted, and other files by suffix.

    Links to folders are followed, each folder once, so a loop of links ends.

    Raises:
        BenchmarkError: no folder, one that cannot be listed, or no image in it.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise BenchmarkError(f"path: {folder}: {what}; give a folder of images")
    images: list[str] = []
    ignored: Counter[str] = Counter()
    for name in _walk(folder):
        suffix = Path(name).suffix.lower()
        if suffix in SUFFIXES:
            images.append(name)
        else:
            ignored[suffix or "no suffix"] += 1
    if not images:
        kinds = " ".join(sorted(SUFFIXES))
        others = f", but {ignored.total()} other files" if ignored else ""
        raise BenchmarkError(f"path: {folder}: no images in it{others}; images end in {kinds}")
    return sorted(images), dict(sorted(ignored.items()))


def stamp(folder: Path) -> str:
    """Return a digest of names, sizes and times of the files below `folder`, to tell a change.

    Raises:
        BenchmarkError: the folder cannot be listed.
    """
    digest = hashlib.sha256()
    for name in sorted(_walk(folder)):
        state = (folder / name).lstat()
        digest.update(os.fsencode(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0"))
    return digest.hexdigest()


def file_candidates(folder: Path, files: Sequence[str], seed: int) -> Candidates:
    """Offer image files, given by their paths relative to `folder`."""

    def read(indices: Sequence[int]) -> Iterator[Item]:
        for index in indices:
            name = files[index]
            yield Item(_printable(name), functools.partial(open_file, folder / name))

    return Candidates(drawn(len(files), seed), read)


def open_file(path: Path) -> Image.Image:
    """Open an image file; a pipe, which would block for ever, is refused."""
    if not path.is_file():
        raise ValueError("a broken link, or not a regular file")
    return Image.open(io.BytesIO(path.read_bytes()))


def _walk(folder: Path) -> Iterator[str]:
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for file in files:
            yield Path(place, file).relative_to(folder).as_posix()


def _refuse(error: OSError) -> None:
    raise BenchmarkError(f"path: {error.filename}: cannot be listed: {error.strerror}") from None


def _printable(name: str) -> str:
    """Return a name that JSON can hold: file names may be any bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
