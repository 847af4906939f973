"""Any folder of images."""

from __future__ import annotations

import functools
import io
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import Field

from benchmark.core.strict import UserPath
from benchmark.data.base import Candidates, Item, Offer, Photographs, drawn
from benchmark.data.listing import image_files


class Folder(Photographs):
    """All images below a folder, in the order of their relative paths, drawn by seed."""

    source: Literal["folder"]
    path: UserPath = Field(description="The folder")
    licence: str = Field(default="unknown", description="What may be done with the images")
    attribution: str = Field(default="", description="Whom to name")

    def offer(self) -> Offer:
        """List the images; no file is opened."""
        files, ignored = image_files(self.path, "path")
        return Offer(
            train=file_candidates(self.path, files, self.seed),
            held_out=None,
            origin=f"folder {self.path}",
            licence=self.licence,
            attribution=self.attribution,
            skip_bad=self.on_bad_image == "skip",
            ignored=ignored,
        )

    def local_files(self) -> tuple[Path, list[str]]:
        """Return the folder and its images."""
        return self.path, image_files(self.path, "path").files


def file_candidates(folder: Path, files: Sequence[str], seed: int) -> Candidates:
    """Offer image files, given by their paths relative to `folder`."""

    def read(indices: Sequence[int]) -> Iterator[Item]:
        for index in indices:
            name = files[index]
            yield Item(_printable(name), functools.partial(open_file, folder / name))

    return Candidates(drawn(len(files), seed), read)


def open_file(path: Path) -> Image.Image:
    """Open an image file; a pipe, which would block for ever, is refused."""
    if problem := flaw(path):
        raise ValueError(problem)
    return Image.open(io.BytesIO(path.read_bytes()))


def flaw(path: Path) -> str:
    """Return why a file cannot be an image, as far as that is told without opening it, or ""."""
    try:
        found = path.stat()
    except OSError:
        return "a broken link, or not a regular file"
    if not stat.S_ISREG(found.st_mode):
        return "a broken link, or not a regular file"
    return "" if found.st_size else "an empty file"


def _printable(name: str) -> str:
    """Return a name that JSON can hold: file names may be any bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
