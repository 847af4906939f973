"""What a .npz file contains, as the headers of its arrays tell; the arrays are not read.

The layouts are those of the code of the programs that write them.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from benchmark.core.errors import BenchmarkError

# Names of the array of images or features in files with other arrays: the images of
# guided-diffusion and of `np.savez`, the features of dgm-eval (beside model and hparams), of
# score_sde (beside logits) and of clean-fid.
MAIN = ("arr_0", "reps", "pool_3", "feats")
# The statistics of guided-diffusion come from a TensorFlow graph, whose resizing torch-fidelity
# copies.
OF_GUIDED_DIFFUSION = frozenset({"mu", "sigma", "mu_s", "sigma_s"})
ITS_EXTRACTOR = "inception-v3-torch-fidelity"


NPY, NPZ = b"\x93NUMPY", b"PK"  # how the files begin
# What NumPy and the standard library raise on damaged files, on encrypted ones (RuntimeError), and
# on ways of compression that they do not know.
BROKEN = (
    *(OSError, ValueError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


class Header(NamedTuple):
    """The header of an array in the .npy format."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def are_images(self) -> bool:
        """Whether the array has the type and shape of images."""
        return self.dtype == np.uint8 and len(self.shape) == 4 and self.shape[3] == 3

    @property
    def is_fact(self) -> bool:
        """Whether the array is one number or text."""
        return not self.shape and not self.dtype.hasobject


class Layout(NamedTuple):
    """Which arrays of a file are read.

    Attributes:
        has_moments: whether the file has the statistics `mu` and `sigma`.
        array: name of the images or features; None: there are none.
        facts: names of single numbers and texts.
        extractor: extractor that made the statistics, where the layout tells it.
        unread: names of all other arrays.
    """

    has_moments: bool
    array: str | None
    facts: list[str]
    extractor: str | None
    unread: list[str]


def check_kind(path: Path) -> None:
    """Refuse a file whose content is neither .npy nor .npz, and a .npy that holds a pickle.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is refused; the message says why.
    """
    with path.open("rb") as file:
        start = file.read(len(NPY))
        if not start.startswith((NPY, NPZ)):
            raise ValueError("neither .npy nor .npz: write it by np.save or np.savez")
        file.seek(0)
        if start == NPY and read_array_header(file).dtype.hasobject:
            raise ValueError("holds Python objects: save numbers, all of one type")


def headers(path: Path) -> dict[str, Header]:
    """Return the header of each array, by its name.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: the file is damaged.
    """
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    found[member.removesuffix(".npy")] = read_array_header(file)
    return found


def read_array_header(file: IO[bytes]) -> Header:
    """Read the header of an array, so that the file stands at the array's data."""
    if np.lib.format.read_magic(file) == (1, 0):
        return Header(*np.lib.format.read_array_header_1_0(file))
    return Header(*np.lib.format.read_array_header_2_0(file))


def layout(path: Path, found: Mapping[str, Header]) -> Layout:
    """Return which arrays of a file are read.

    Besides statistics only images are read, which all metrics but the distance need. Arrays of
    objects are never read: they are pickles, which may run any code.

    Raises:
        BenchmarkError: the file has no statistics, and no array of which it is clear that it is
            meant.
    """
    has_moments = {"mu", "sigma"} <= found.keys()
    facts = [name for name, header in found.items() if header.is_fact]
    array = next((name for name in MAIN if name in found), None)
    if has_moments and array is not None and not found[array].are_images:
        array = None
    if not has_moments and array is None:
        array = _only_array(path, found)
    moments = ["mu", "sigma"] if has_moments else []
    read = {*facts, *moments, *([] if array is None else [array])}
    return Layout(
        has_moments,
        array,
        facts,
        ITS_EXTRACTOR if found.keys() >= OF_GUIDED_DIFFUSION else None,
        [name for name in found if name not in read],
    )


def _only_array(path: Path, found: Mapping[str, Header]) -> str:
    if len(found) == 1:
        return next(iter(found))
    usable = [n for n, h in found.items() if len(h.shape) > 1 and not h.dtype.hasobject]
    if len(usable) == 1 and _is_covariance(found[usable[0]], found.values()):
        raise BenchmarkError(
            f"{path}: holds {', '.join(found)}, as if statistics: call them mu and sigma"
        )
    if len(usable) != 1:
        raise BenchmarkError(
            f"{path}: holds {', '.join(found) or 'nothing'}: give mu and sigma, or one array"
        )
    return usable[0]


def _is_covariance(header: Header, all_of_file: Iterable[Header]) -> bool:
    """Tell whether an array is a square of floats, and a vector of as many lies beside it."""
    mean = header.shape[:1]
    beside = any(other.shape == mean and other.dtype.kind == "f" for other in all_of_file)
    return header.shape == 2 * mean and header.dtype.kind == "f" and beside
