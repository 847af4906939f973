"""Image files in a folder: which of them are drawn, whether they can be read, and opening one."""

from __future__ import annotations

import functools
import io
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.data.listing import image_files
from benchmark.data.sources.base import Candidates, Item, drawn

MOST_BYTES = 2**30  # of one image; Pillow's limit of pixels, in 16-bit colours, takes half as many


def file_candidates(
    folder: Path, files: Sequence[str], seed: int, labels: Sequence[int] | None = None
) -> Candidates:
    """Return image files as candidates of a data set.

    Args:
        folder: folder of the files.
        files: their paths relative to it.
        seed: seed by which they are drawn.
        labels: number of the class of each file; None: they have no classes.
    """

    def read(indices: Sequence[int]) -> Iterator[Item]:
        for index in indices:
            name, label = files[index], None if labels is None else labels[index]
            yield Item(printable(name), functools.partial(open_file, folder / name), label)

    return Candidates(drawn(len(files), seed), read)


def open_file(path: Path) -> Image.Image:
    """Open an image file; refuse a pipe, from which reading might never end."""
    if problem := flaw(path):
        raise ValueError(problem)
    return Image.open(io.BytesIO(path.read_bytes()))


def flaw(path: Path) -> str:
    """Return why a file cannot be an image, as known without opening it; empty if it can be."""
    try:
        found = path.stat()
    except OSError:
        return "a broken link, or not a regular file"
    if not stat.S_ISREG(found.st_mode):
        return "a broken link, or not a regular file"
    if found.st_size > MOST_BYTES:
        return f"has {found.st_size:,} bytes, more than any image"
    return "" if found.st_size else "an empty file"


def check_images(at: str, folder: Path, seed: int, wanted: int, skip: bool = False) -> None:
    """Refuse a folder that does not have the images that will be drawn from it.

    Args:
        at: config key that names the folder.
        folder: folder of the images.
        seed: seed by which images are drawn.
        wanted: how many images are needed.
        skip: whether other images are drawn instead of bad ones.

    Raises:
        BenchmarkError: the folder is missing or holds too few images, or one of those that are
            drawn is empty or no file.
    """
    files = image_files(folder, at).files
    if len(files) < wanted:
        raise BenchmarkError(f"{at}: {len(files)} images in {folder}: {wanted} are asked for")
    good = 0
    for index in drawn(len(files), seed):
        if good == wanted:
            return
        problem = flaw(folder / files[index])
        if problem and not skip:
            raise BenchmarkError(f"{at}: {folder}: {files[index]}: {problem}")
        good += not problem
    if good < wanted:
        raise BenchmarkError(
            f"{at}: {good} images in {folder} that are neither empty nor broken links: {wanted} "
            "are asked for"
        )


def open_bytes(content: bytes | None) -> Image.Image:
    """Open an image that lies in memory; raise ValueError where there is none."""
    if not content:
        raise ValueError("it holds no bytes")
    return Image.open(io.BytesIO(content))


def open_span(path: str, start: int, size: int) -> Image.Image:
    """Open an image that is a part of a file; raise ValueError where it is not there."""
    return open_bytes(read_span(path, start, size))


def read_span(path: str, start: int, size: int) -> bytes:
    """Return a part of a file.

    Args:
        path: the file.
        start: where the part begins, in bytes.
        size: number of its bytes.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file ends before the part does.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.pread(file, size, start)
        while len(content) < size:  # as from network drives
            more = os.pread(file, size - len(content), start + len(content))
            if not more:
                raise ValueError("the file ends before it does")
            content += more
    finally:
        os.close(file)
    return content


def refuse(reason: str) -> Image.Image:
    """Raise ValueError for an image that could not be taken out of its file."""
    raise ValueError(reason)


def printable(name: str) -> str:
    """Return a file name, which may be any bytes, as a text that JSON can hold."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
