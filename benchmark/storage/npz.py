"""What lies in a .npz file, told from the headers of its arrays alone: no array is read.

Layouts were read from the code of the programs that write them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from benchmark.core.errors import BenchmarkError

# Arrays of features or images, by name, where others lie beside them: the images of
# guided-diffusion and of `np.savez`, the features of dgm-eval (beside model and hparams), of
# score_sde (beside logits) and of clean-fid.
MAIN = ("arr_0", "reps", "pool_3", "feats")
# guided-diffusion's statistics are of the TensorFlow graph whose resize torch-fidelity copies.
OF_GUIDED_DIFFUSION = frozenset({"mu", "sigma", "mu_s", "sigma_s"})
ITS_EXTRACTOR = "inception-v3-torch-fidelity"


NPY, NPZ = b"\x93NUMPY", b"PK"  # how the files begin


class Header(NamedTuple):
    """What stands before the data of an array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def are_images(self) -> bool:
        """Whether it has the form of images."""
        return self.dtype == np.uint8 and len(self.shape) == 4 and self.shape[3] == 3

    @property
    def is_fact(self) -> bool:
        """Whether it is one number or text."""
        return not self.shape and not self.dtype.hasobject


class Layout(NamedTuple):
    """What of a file is read.

    Attributes:
        has_moments: whether it holds the statistics `mu` and `sigma`.
        array: name of the images or features; None: there are none.
        facts: single numbers and texts, by name.
        extractor: that the statistics are of, where their layout tells.
        unread: names of all else.
    """

    has_moments: bool
    array: str | None
    facts: list[str]
    extractor: str | None
    unread: list[str]


def check_kind(path: Path) -> None:
    """Refuse a file that is no .npy or .npz by its content, and a pickle within a .npy.

    Raises:
        OSError: the file cannot be read.
        ValueError: with the reason.
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
    """Read the header of an array, after which its data follow."""
    if np.lib.format.read_magic(file) == (1, 0):
        return Header(*np.lib.format.read_array_header_1_0(file))
    return Header(*np.lib.format.read_array_header_2_0(file))


def layout(path: Path, found: Mapping[str, Header]) -> Layout:
    """Return what of a file is read.

    Beside statistics only images are read: all metrics but the distance need them. Arrays of
    objects are never read: they are pickles, which may run any code.

    Raises:
        BenchmarkError: neither statistics nor one array that can be told from the others.
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
    """Tell whether an array is square and a mean of as many fractions lies beside it."""
    mean = header.shape[:1]
    beside = any(other.shape == mean and other.dtype.kind == "f" for other in all_of_file)
    return header.shape == 2 * mean and header.dtype.kind == "f" and beside
