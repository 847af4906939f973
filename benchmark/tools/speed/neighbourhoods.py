"""Measures time and memory of precision, recall, density and coverage, in new processes.

Nothing here imports torch, so that the processes start quickly.
"""

from __future__ import annotations

import contextlib
import io
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.manifold import manifold
from benchmark.runtime.memory import peak_of_process

K = 5  # neighbours


class _Measured(NamedTuple):
    """The time of a computation, the memory that it took beyond its input, and its results."""

    seconds: float
    megabytes: float
    found: dict[str, float]


def ours_of(n: int, d: int) -> _Measured:
    """Measure `manifold` of two sets of random features, n×d."""
    fake, real = _features(n, d)
    before, start = peak_of_process(), time.perf_counter()
    found = manifold(fake, real, K)
    figures = {
        "precision": found.precision,
        "recall": found.recall,
        "density": found.density,
        "coverage": found.coverage,
    }
    return _Measured(time.perf_counter() - start, (peak_of_process() - before) / 1e6, figures)


def theirs_of(n: int, d: int) -> _Measured:
    """Measure `compute_prdc` of the package prdc, of the same features, n×d."""
    from prdc import compute_prdc

    fake, real = _features(n, d)
    before, start = peak_of_process(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real, fake, K)
    figures = {key: float(value) for key, value in found.items()}
    return _Measured(time.perf_counter() - start, (peak_of_process() - before) / 1e6, figures)


def _features(n: int, d: int) -> list[NDArray[np.float32]]:
    return [np.random.default_rng(seed).standard_normal((n, d), np.float32) for seed in (4, 5)]
