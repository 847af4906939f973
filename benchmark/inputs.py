"""What can be compared: folders and arrays of images, arrays of features, and statistics.

A file is taken for what it holds, not for what it is called.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from benchmark.atomic import atomic_path
from benchmark.data.folder import open_file
from benchmark.data.listing import image_files, samples_of_cell
from benchmark.errors import BenchmarkError
from benchmark.metrics.base import LARGEST, Features
from benchmark.metrics.frechet import GaussianStats

Picture: TypeAlias = NDArray[np.uint8]  # H×W×3
Batches: TypeAlias = Iterator[Sequence[Picture] | Picture]  # or an array of images of one size

WIDE = {"F", "I", "I;16", "I;16B", "I;16L", "I;16N"}  # modes of more than 8 bits
BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Images:
    """Images of any size, read when they are needed.

    Attributes:
        path: of the file or folder.
        count: how many.
        batches: from the images in a batch and the threads that decode, to batches in order.
        ignored: files of the folder that are no images, counted by kind.
    """

    path: Path
    count: int
    batches: Callable[[int, int], Batches]
    ignored: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and covariance of features, and what the file says of them.

    Attributes:
        gaussian: the two.
        facts: of the network, and the `count` of images; none in files of pytorch-fid or clean-fid.
    """

    gaussian: GaussianStats
    facts: dict[str, str | int]


Input: TypeAlias = Images | Statistics | Features


def open_input(path: Path) -> Input:
    """Open a folder of images, a .npy or .npz file; images are not read yet.

    Of the folder of a run's cell, `results/RUN/samples/CELL`, the samples in its array are taken.

    Images in a file are uint8 N×H×W×3, features float N×d, alone in it (a .npz with labels beside
    them has the images in `arr_0`); statistics are `mu` and `sigma`.

    Raises:
        BenchmarkError: the path does not exist, cannot be read, or holds none of these.
    """
    if path.suffix.lower() not in {".npy", ".npz"} or path.is_dir():
        if samples := samples_of_cell(path):
            return open_input(samples)
        listing = image_files(path)
        paths = [path / file for file in listing.files]
        return Images(path, len(paths), _folder_batches(paths), listing.ignored)
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return _array(path, content)
        with content:
            return _archive(path, content)
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BenchmarkError(f"{path}: cannot be read: {reason}") from None


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Write statistics that `open_input`, pytorch-fid and clean-fid read.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    gaussian, facts = statistics.gaussian, statistics.facts
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {key: np.array(fact) for key, fact in facts.items()}
        np.savez_compressed(file, mu=gaussian.mean, sigma=gaussian.covariance, **arrays)


def _folder_batches(paths: Sequence[Path]) -> Callable[[int, int], Batches]:
    def batches(batch: int, threads: int) -> Batches:
        with ThreadPoolExecutor(threads) as pool:
            coming = [pool.submit(_decode, path) for path in paths[:batch]]
            for start in range(batch, len(paths) + batch, batch):  # one batch ahead of the network
                here = coming
                coming = [pool.submit(_decode, path) for path in paths[start : start + batch]]
                yield [future.result() for future in here]

    return batches


def _decode(path: Path) -> Picture:
    """Read an image file as pytorch-fid, torch-fidelity and clean-fid do, transparency dropped."""
    try:
        with open_file(path) as image:
            if image.mode in WIDE:
                raise ValueError(f"mode {image.mode} has more than 8 bits: save it with 8")
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # on damaged files Pillow's decoders raise almost anything
        known = not isinstance(error, UnidentifiedImageError)  # whose text holds an address
        reason = " ".join(str(error).split()) if known else "damaged, or no image"
        raise BenchmarkError(f"{path}: not a readable image: {reason}") from None


def _array(path: Path, array: NDArray[Any]) -> Images | Features:
    """Return a mapped array as what it holds."""
    if array.dtype.kind == "f" and array.ndim == 2:
        with np.errstate(over="ignore"):  # what float64 cannot hold is refused as infinity
            if array.itemsize <= 4:
                return array.astype(np.float32, copy=False)
            return array.astype(np.float64, copy=False)
    _check_images(path, array.shape, array.dtype)

    def batches(batch: int, _: int) -> Batches:
        for start in range(0, len(array), batch):
            yield array[start : start + batch]

    return Images(path, len(array), batches)


def _archive(path: Path, content: Any) -> Input:
    names = list(content.files)
    if {"mu", "sigma"} <= set(names):
        return _statistics(path, content)
    if "arr_0" not in names and len(names) != 1:
        raise BenchmarkError(
            f"{path}: holds {', '.join(names) or 'nothing'}: give mu and sigma, or one array"
        )
    name = "arr_0" if "arr_0" in names else names[0]
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        shape, fortran_order, dtype = _header(member)
    if dtype.kind == "f":
        return _array(path, content[name])
    _check_images(path, shape, dtype)
    if fortran_order:
        raise BenchmarkError(f"{path}: save {name} in the order of C, by np.ascontiguousarray")
    return Images(path, shape[0], _member_batches(path, f"{name}.npy", shape))


def _member_batches(path: Path, member: str, shape: tuple[int, ...]) -> Callable[..., Batches]:
    """Read an array in a .npz file part by part: it may be larger than the memory."""

    def batches(batch: int, _: int) -> Batches:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            _header(file)
            for start in range(0, shape[0], batch):
                part = (min(batch, shape[0] - start), *shape[1:])
                yield np.frombuffer(_read(path, file, math.prod(part)), np.uint8).reshape(part)

    return batches


def _read(path: Path, file: IO[bytes], size: int) -> bytearray:
    try:
        data = bytearray(file.read(size))
    except BROKEN as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None
    if len(data) < size:
        raise BenchmarkError(f"{path}: ends before its last image: write it again")
    return data


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _check_images(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        raise BenchmarkError(
            f"{path}: {dtype} of shape {shape}: images must be uint8 N×H×W×3, features float N×d"
        )


def _statistics(path: Path, content: Any) -> Statistics:
    arrays = content["mu"], content["sigma"]
    if any(array.dtype.kind not in "fiu" for array in arrays):
        raise BenchmarkError(
            f"{path}: mu is {arrays[0].dtype}, sigma {arrays[1].dtype}: they must be real numbers"
        )
    mean, covariance = (array.astype(np.float64) for array in arrays)
    if mean.ndim != 1 or not mean.size or covariance.shape != (mean.size, mean.size):
        raise BenchmarkError(
            f"{path}: mu of shape {mean.shape} and sigma of shape {covariance.shape}: "
            "they must be d and d×d, d at least 1"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise BenchmarkError(f"{path}: mu or sigma holds NaN or infinity: compute them again")
    if max(np.abs(mean).max(), np.sqrt(np.abs(covariance).max())) > LARGEST:
        raise BenchmarkError(
            f"{path}: mu or sigma are of features above {LARGEST:.0e}, which overflow when "
            "multiplied: scale them down"
        )
    try:
        return Statistics(GaussianStats.from_moments(mean, covariance), _facts(content))
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from None


def _facts(content: Any) -> dict[str, str | int]:
    facts = {key: content[key].item() for key in content.files if not content[key].ndim}
    count = facts.get("count", 1)
    if type(count) is not int or count < 1:
        raise BenchmarkError(f"count is {count!r}: it must be the number of images")
    return facts
