"""Images in .npy and .npz files, as the samplers of guided-diffusion and of others write them."""

from __future__ import annotations

import contextlib
import functools
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import Field

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import UserPath, UserText
from benchmark.data.image_files import refuse
from benchmark.data.labels import numbered
from benchmark.data.listing import list_files
from benchmark.data.packed import Album, Packed, files_at, no_images
from benchmark.data.sources.base import Item
from benchmark.storage.npz import (
    BROKEN,
    NPZ,
    Header,
    check_kind,
    headers,
    layout,
    read_array_header,
)

SUFFIXES = frozenset({".npy", ".npz"})
RIGHT = "uint8 N×H×W×3, or N×H×W×1 for grey, would be right"


class Batch(NamedTuple):
    """An array of images in a file.

    Attributes:
        path: the file.
        member: name of the array in a .npz file; empty: the file is a .npy.
        start: number of its first image, counted over all files.
        shape: N×H×W×C.
    """

    path: Path
    member: str
    start: int
    shape: tuple[int, ...]


class Arrays(Packed):
    """All images in .npy and .npz files, file by file."""

    source: Literal["arrays"] = "arrays"
    path: UserPath = Field(
        description="A .npy or .npz file of images (uint8 N×H×W×3 or N×H×W×1), or a folder of such "
        "files; of several arrays in a .npz, arr_0",
        examples=["photos.npz"],
    )
    label: UserText | None = Field(
        default=None,
        min_length=1,
        description="Array of the numbers of the classes in a .npz, as arr_1 of guided-diffusion",
        examples=["arr_1"],
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Tell whether a file is called .npy or .npz, or a folder has such files."""
        if path.is_dir():
            return bool(list_files(path, SUFFIXES).files)
        return path.is_file() and path.suffix.lower() in SUFFIXES

    def origin(self) -> str:
        """Return the path."""
        return str(self.path)

    def packed_files(self) -> tuple[Path, list[str]]:
        """Return the folder and the names of the files."""
        return files_at(self.path, SUFFIXES, "a folder of .npy or .npz files would be right")

    def list_images(self, folder: Path, files: Sequence[str]) -> Album:
        """Read the headers of the arrays, and the labels."""
        batches: list[Batch] = []
        told: list[object] = []
        total = 0
        for file in files:
            batches.append(_batch(folder / file, total))
            total += batches[-1].shape[0]
            if self.label is not None:
                told += _told(batches[-1], self.label)
        if not total:
            raise no_images(self.path, {}, RIGHT)
        classes, labels = ((), None) if self.label is None else numbered(told, self.path)
        return Album(total, functools.partial(_read, batches, labels), classes)


def _batch(path: Path, start: int) -> Batch:
    """Return the array of images in a file, of which only the header is read."""
    with _whole(path), path.open("rb") as file:
        check_kind(path)
        if file.read(len(NPZ)) == NPZ:
            found = headers(path)
            try:
                member = layout(path, found).array
            except BenchmarkError as error:
                raise BenchmarkError(f"path: {error}") from None
            if member is None:
                raise ValueError(f"holds mu and sigma alone: {RIGHT}")
            header = found[member]
        else:
            file.seek(0)
            member, header = "", read_array_header(file)
        _check(header)
    return Batch(path, member, start, header.shape)


@contextlib.contextmanager
def _whole(path: Path, key: str = "path") -> Iterator[None]:
    """Raise what is wrong with a file as BenchmarkError."""
    try:
        yield
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise BenchmarkError(f"{key}: {path}: {reason}") from None


def _check(header: Header) -> None:
    """Refuse an array that is none of images, or of images larger than Pillow would read."""
    shape = header.shape
    if header.dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape[1:]:
        raise ValueError(f"{header.dtype} of shape {shape}: {RIGHT}")
    if header.fortran_order:
        raise ValueError("save it in the order of C, by np.ascontiguousarray")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and shape[1] * shape[2] > limit:
        raise ValueError(f"images of {shape[2]}×{shape[1]} pixels: at most {limit:,} would be read")


def _told(batch: Batch, label: str) -> list[object]:
    """Return the number of the class of each image of a file."""
    path, count = batch.path, batch.shape[0]
    with _whole(path, "label"):
        known = headers(path) if batch.member else {}
    if label not in known:
        raise BenchmarkError(
            f"label: {path}: no array {label!r}, only {', '.join(known) or 'one without a name'}"
        )
    if known[label].shape != (count,) or known[label].dtype.kind not in "iu":
        raise BenchmarkError(
            f"label: {path}: {label} is {known[label].dtype} of shape {known[label].shape}: a "
            f"whole number for each of the {count} images would be right"
        )
    with _whole(path, "label"), np.load(path, allow_pickle=False) as content:
        numbers: list[object] = content[label].tolist()
    return numbers


def _read(
    batches: Sequence[Batch], labels: Sequence[int] | None, indices: Sequence[int]
) -> Iterator[Item]:
    for batch in batches:
        numbers = [i for i in indices if batch.start <= i < batch.start + batch.shape[0]]
        for number, load in zip(numbers, _loaders(batch, numbers), strict=True):
            name = f"{batch.path.name}#{number - batch.start}"
            label = None if labels is None else labels[number]
            yield Item(name, load, label, math.prod(batch.shape[1:]))


def _loaders(batch: Batch, numbers: Sequence[int]) -> Iterator[functools.partial[Image.Image]]:
    """Yield functions that return images of a file, of which one is in memory at a time."""
    if not numbers:
        return
    size = math.prod(batch.shape[1:])
    with _opened(batch) as file:
        read_array_header(file)
        first = file.tell()
        for number in numbers:
            try:
                # From the beginning: where a read has failed, nobody knows where the file stands.
                file.seek(first + (number - batch.start) * size)
                content = file.read(size)
            except BROKEN as error:
                yield functools.partial(refuse, one_line(error))
                continue
            if len(content) < size:
                yield functools.partial(refuse, "the file ends before this image")
            else:
                yield functools.partial(_image, content, batch.shape[1:])


def _opened(batch: Batch) -> IO[bytes]:
    if not batch.member:
        return batch.path.open("rb")
    return zipfile.ZipFile(batch.path).open(f"{batch.member}.npy")


def _image(content: bytes, shape: tuple[int, ...]) -> Image.Image:
    pixels = np.frombuffer(content, np.uint8).reshape(shape)
    return Image.fromarray(pixels if shape[2] == 3 else pixels[..., 0])
