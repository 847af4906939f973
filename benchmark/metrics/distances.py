"""Euclidean distances between rows, a block at a time, so that no n×n matrix is held."""

from __future__ import annotations

import itertools
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
    distances: Array = x @ y.T
    distances *= -2
    distances += np.einsum("ij,ij->i", x, x)[:, None]
    distances += np.einsum("ij,ij->i", y, y)
    return np.maximum(distances, 0, out=distances)


def check_k(k: int, n: int, name: str) -> None:
    """Refuse k neighbours of one of n images; `name` says of what.

    Raises:
        BenchmarkError: k < 1, or k ≥ n.
    """
    if not 1 <= k < n:
        raise BenchmarkError(f"{name}: k = {k} neighbours among {n} images: k must be 1 to {n - 1}")


def kth_neighbour(x: Array, k: int, name: str) -> Array:
    """Return the squared distance (n) of each row of x (n×d) to its k-th nearest other row.

    Raises:
        BenchmarkError: k < 1, or k ≥ n; `name` says of what.
    """
    n = len(x)
    check_k(k, n, name)
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


def kth_neighbour_without(x: Array, k: int, groups: int, size: int) -> Array:
    """Return the squared distances to the k-th nearest other row, without each group in turn.

    The k smallest distances to each group are all it takes, so that this costs little more than
    `kth_neighbour` once.

    Args:
        x: n×d, of which the first `size` rows are group 0, the next group 1 and so on; a remainder
            is never left out.
        k: at least 1, below n − `size`.
        groups: how many.
        size: of each.

    Returns:
        n×(groups + 1): column g is without group g, and 0 for its own rows; the last column is
        without none.
    """
    n = len(x)
    starts = [*range(0, groups * size, size), groups * size, n]
    best = np.full((n, groups + 1, k), np.inf)
    parts = [
        (group, slice(start + block.start, start + block.stop))
        for group, (start, stop) in enumerate(itertools.pairwise(starts))
        for block in blocks(stop - start)
    ]
    for i, (group, rows) in enumerate(parts):
        for other, columns in parts[: i + 1]:  # the other half is its mirror image
            distances = squared_distances(x[rows], x[columns])
            if rows == columns:
                np.fill_diagonal(distances, np.inf)
            else:
                best[columns, group] = _smallest(best[columns, group], distances.T, k)
            best[rows, other] = _smallest(best[rows, other], distances, k)
    radii = np.empty((n, groups + 1))
    for group in range(groups + 1):
        kept = best if group == groups else np.delete(best, group, axis=1)
        radii[:, group] = np.partition(kept.reshape(n, -1), k - 1, axis=1)[:, k - 1]
        if group < groups:
            radii[starts[group] : starts[group + 1], group] = 0
    return radii


def _smallest(best: Array, distances: Array, k: int) -> Array:
    """Return the k smallest in each row of both, in no order.

    Sorting out whole rows takes as long as computing them, so only what is below the k-th so far
    is looked at.
    """
    hits = distances < best.max(axis=1)[:, None]
    counts = np.count_nonzero(hits, axis=1)
    width = int(counts.max())
    if 4 * width > distances.shape[1]:
        return np.partition(np.concatenate([best, distances], axis=1), k - 1, axis=1)[:, :k]
    rows, columns = np.nonzero(hits)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = np.full((len(best), k + width), np.inf)
    found[:, :k] = best
    found[rows, k + place] = distances[rows, columns]
    return np.partition(found, k - 1, axis=1)[:, :k]
