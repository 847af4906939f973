"""Opens what can be compared: folders and arrays of images, arrays of features, and statistics.

What a file is follows from its content, not from its name.
"""

from __future__ import annotations

import functools
import math
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.data.image_files import open_file
from benchmark.data.listing import image_files, samples_of_cell
from benchmark.data.packed import Packed
from benchmark.data.pixels import Background
from benchmark.data.recognising import IMAGES, recognised
from benchmark.metrics.base import LARGEST, Features
from benchmark.metrics.frechet import GaussianStats
from benchmark.storage.atomic import atomic_path
from benchmark.storage.npz import BROKEN, check_kind, headers, layout, read_array_header
from benchmark.tools.score_decoding import ARRAY, Loadable, Picture, Pictures, ahead
from benchmark.tools.score_libraries import Library


@dataclass(frozen=True)
class ImageInput:
    """Images of any size, which are read when they are needed.

    Attributes:
        path: path of the file or folder.
        count: number of images.
        pictures: reads the images in order, with a number of threads.
        ignored: number of files in the folder that are not read, by kind.
        files: files that are read, as paths relative to the folder; none for an array.
        statistics: statistics in the same file, of the features of these or of more images.
        shape: shape of an array of images, N×H×W×3; None: the images are files of any sizes.
        chosen: whether it was told which image of each sample or row is meant.
    """

    path: Path
    count: int
    pictures: Pictures
    ignored: Mapping[str, int] = field(default_factory=dict)
    files: Sequence[str] = ()
    statistics: Statistics | None = None
    shape: tuple[int, ...] | None = None
    chosen: bool = False


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and covariance of features, and what the file says of them.

    Attributes:
        gaussian: mean and covariance.
        facts: further entries of the file: the identity of the extractor, and the `count` of
            images. Files of pytorch-fid and clean-fid have none.
    """

    gaussian: GaussianStats
    facts: dict[str, str | int]


Input: TypeAlias = ImageInput | Statistics | Features


def count_of(side: Input) -> int | None:
    """Return the number of images of an input, features of shape N×d included; None: unknown."""
    if isinstance(side, ImageInput):
        return side.count
    if isinstance(side, Statistics):
        count = side.facts.get("count")
        return int(count) if count is not None else None
    return len(side)


def open_input(
    path: Path,
    library: Library | None = None,
    background: Background = "white",
    image: str | None = None,
) -> Input:
    """Open a folder of images, or a file of many; images are not read yet.

    A file is a zip, a tar, parquet, Arrow, .npy or .npz; a folder may also be one of such files, or
    an LMDB.

    If the folder is that of a run's cell, `results/RUN/samples/CELL`, the array of its samples is
    opened.

    Images in a file are uint8 N×H×W×3, and features are float N×d. They are the only array of the
    file, or `arr_0` beside labels. Features of dgm-eval are named `reps`, those of score_sde
    `pool_3`. Statistics are `mu` (d) and `sigma` (d×d). A reference batch of guided-diffusion has
    images and statistics. Other arrays of a .npz file are not read; stderr names them.

    Args:
        path: the folder or file.
        library: the library whose choice of files in a folder is followed; None: all images.
        background: what transparent pixels of files are blended with.
        image: which image is meant where samples or rows of packed files have several; None: the
            only one.

    Raises:
        BenchmarkError: the path does not exist, cannot be read, or holds none of these.
    """
    if path.suffix.lower() not in {".npy", ".npz"} or path.is_dir():
        if samples := samples_of_cell(path):
            return open_input(samples)
        if source := recognised(path, image):
            return _packed(path, source, background)
        if path.is_file():
            raise BenchmarkError(f"{path}: give {IMAGES}")
        return _folder(path, library, background)
    try:
        check_kind(path)
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return _array(path, content)
        with content:
            return _archive(path, content)
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise BenchmarkError(f"{path}: cannot be read: {reason}") from None


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Write statistics as a .npz file that `open_input`, pytorch-fid and clean-fid can read.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    gaussian, facts = statistics.gaussian, statistics.facts
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {key: np.array(fact) for key, fact in facts.items()}
        np.savez_compressed(file, mu=gaussian.mean, sigma=gaussian.covariance, **arrays)


def _folder(path: Path, library: Library | None, background: Background) -> ImageInput:
    """Return the images of a folder, or only those that a library reads."""
    files, ignored = image_files(path)
    if library is not None:
        left_out = library.left_out(files)
        ignored = {**ignored, **{f"{k} for {library.name}": n for k, n in left_out.items()}}
        files = [file for file in files if library.reads(file)]
        if not files:
            raise BenchmarkError(f"{path}: no images that {library.name} reads: leave out --files")
    loads = [
        Loadable(str(path / file), functools.partial(open_file, path / file)) for file in files
    ]
    pictures = ahead(lambda: loads, background)
    return ImageInput(path, len(files), pictures, ignored, files)


def _packed(path: Path, source: Packed, background: Background) -> ImageInput:
    """Return the images of a packed file."""
    try:
        album = source.album()
    except BenchmarkError as error:  # begins with the key of a config
        key, _, said = str(error).partition(": ")
        if key == "image":
            said += "; score takes it by --image"
        elif key != "path":
            said += (
                f"; score has no `{key}`: give it a file, or a folder of files, with these alone"
            )
        raise BenchmarkError(said) from None

    def items() -> Iterator[Loadable]:
        for item in album.read(range(album.size)):
            yield Loadable(f"{path}: {item.name}", item.load, item.held)

    pictures, chosen = ahead(items, background), getattr(source, "image", None) is not None
    return ImageInput(path, album.size, pictures, album.ignored, chosen=chosen)


def _array(path: Path, array: NDArray[Any]) -> ImageInput | Features:
    """Return a memory-mapped array as features, if it is float N×d, or as images."""
    if array.dtype.kind == "f" and array.ndim == 2:
        with np.errstate(over="ignore"):  # numbers beyond float64 become infinity, which is refused
            if array.itemsize <= 4:
                return array.astype(np.float32, copy=False)
            return array.astype(np.float64, copy=False)
    _check_images(path, array.shape, array.dtype)

    def pictures(_: int) -> Iterator[Picture]:
        for pixels in array:
            yield _plain(pixels)

    return ImageInput(path, len(array), pictures, shape=array.shape)


def _archive(path: Path, content: Any) -> Input:
    """Return what an opened .npz file holds."""
    found = headers(path)
    plan = layout(path, found)
    if plan.unread:
        read = [*(["mu", "sigma"] if plan.has_moments else []), *filter(None, [plan.array])]
        print(
            f"{path}: {', '.join(read)} read, not read: {', '.join(plan.unread)}", file=sys.stderr
        )
    statistics = None
    if plan.has_moments:
        kinds = found["mu"].dtype, found["sigma"].dtype
        if any(kind.kind not in "fiu" for kind in kinds):
            raise BenchmarkError(
                f"{path}: mu is {kinds[0]}, sigma {kinds[1]}: they must be real numbers"
            )
        facts = _facts(path, {name: content[name].item() for name in plan.facts})
        if plan.extractor is not None:
            facts.setdefault("extractor", plan.extractor)
        statistics = _statistics(path, content["mu"], content["sigma"], facts)
    if plan.array is None:
        assert statistics is not None
        return statistics
    shape, fortran_order, dtype = found[plan.array]
    if dtype.kind == "f":
        return _array(path, content[plan.array])
    _check_images(path, shape, dtype)
    if fortran_order:
        raise BenchmarkError(
            f"{path}: save {plan.array} in the order of C, by np.ascontiguousarray"
        )
    pictures = _member_pictures(path, f"{plan.array}.npy", shape)
    return ImageInput(path, shape[0], pictures, statistics=statistics, shape=shape)


def _plain(pixels: NDArray[np.uint8]) -> Picture:
    """Return an image of an array, uint8 H×W×C, as a picture; grey is repeated."""
    return Picture(pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2), ARRAY)


def _member_pictures(path: Path, member: str, shape: tuple[int, ...]) -> Pictures:
    """Return a function that reads an array of a .npz file image by image, with little memory."""

    def pictures(_: int) -> Iterator[Picture]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            read_array_header(file)
            for _ in range(shape[0]):
                data = _read(path, file, math.prod(shape[1:]))
                yield _plain(np.frombuffer(data, np.uint8).reshape(shape[1:]))

    return pictures


def _read(path: Path, file: IO[bytes], size: int) -> bytearray:
    try:
        data = bytearray(file.read(size))
    except BROKEN as error:
        raise BenchmarkError(f"{path}: cannot be read: {error}") from None
    if len(data) < size:
        raise BenchmarkError(f"{path}: ends before its last image: write it again")
    return data


def _check_images(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape[1:]:
        raise BenchmarkError(
            f"{path}: {dtype} of shape {shape}: images must be uint8 N×H×W×3, or N×H×W×1 for grey, "
            "features float N×d"
        )


def _statistics(
    path: Path, mu: NDArray[Any], sigma: NDArray[Any], facts: dict[str, str | int]
) -> Statistics:
    """Return statistics, after a check that mu (d) and sigma (d×d) are usable."""
    mean, covariance = (array.astype(np.float64) for array in (mu, sigma))
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
        return Statistics(GaussianStats.from_moments(mean, covariance), facts)
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from None


def _facts(path: Path, facts: dict[str, str | int]) -> dict[str, str | int]:
    """Return the further entries of a file of statistics, after a check of `count`."""
    count = facts.get("count", 1)
    if type(count) is not int or count < 1:
        raise BenchmarkError(f"{path}: count is {count!r}: it must be the number of images")
    return facts
