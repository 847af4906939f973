"""Euclidean distances between rows, a block at a time, so that no n×n matrix is held."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.metrics.base import Features

Array = NDArray[np.float64]

BLOCK = 2048


def centre(*sets: Features) -> list[Array]:
    """Move all sets by the mean of the last, in float64: smaller norms, smaller rounding."""
    mean = sets[-1].mean(axis=0, dtype=np.float64)
    return [features - mean for features in sets]


def blocks(n: int) -> Iterator[slice]:
    """Yield the slices of at most `BLOCK` rows that make up n."""
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def squared_distances(x: Array, y: Array) -> Array:
    """Return the squared distances, n×m, of rows of x (n×d) and y (m×d); never below 0."""
    distances: Array = -2 * (x @ y.T)
    distances += np.square(x).sum(axis=1)[:, None]
    distances += np.square(y).sum(axis=1)
    return np.maximum(distances, 0, out=distances)


def kth_neighbour(x: Array, k: int, name: str) -> Array:
    """Return the squared distance (n) of each row of x (n×d) to its k-th nearest other row.

    Raises:
        BenchmarkError: k < 1, or k ≥ n; `name` says of what.
    """
    n = len(x)
    if not 1 <= k < n:
        raise BenchmarkError(f"{name}: k = {k} neighbours among {n} images: k must be 1 to {n - 1}")
    best = np.full((n, k), np.inf)
    for rows in blocks(n):
        for columns in blocks(rows.stop):  # the other half is its mirror image
            distances = squared_distances(x[rows], x[columns])
            if rows == columns:
                np.fill_diagonal(distances, np.inf)
            else:
                best[columns] = _smallest(best[columns], distances.T, k)
            best[rows] = _smallest(best[rows], distances, k)
    radii: Array = best.max(axis=1)
    return radii


def _smallest(best: Array, distances: Array, k: int) -> Array:
    """Return the k smallest in each row of both, in no order."""
    return np.partition(np.concatenate([best, distances], axis=1), k - 1, axis=1)[:, :k]
