"""Gives pytorch-fid and clean-fid the matrix square root of older versions of SciPy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import scipy.linalg


@contextlib.contextmanager
def sqrtm_with_disp() -> Iterator[None]:
    """Let `scipy.linalg.sqrtm` take `disp` inside the block, whichever SciPy is installed.

    pytorch-fid and clean-fid call it with `disp=False` and expect the pair (root, error estimate).
    SciPy 1.18 has removed the argument, so that they fail with a TypeError.
    """
    current = scipy.linalg.sqrtm

    def sqrtm(matrix: Any, disp: bool = True) -> Any:
        root = current(matrix)
        return root if disp else (root, None)

    with mock.patch.object(scipy.linalg, "sqrtm", sqrtm):
        yield
