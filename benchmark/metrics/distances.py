"""Euclidean distances between rows, a block at a time, so that no n×n matrix is held."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.base import Features

Float64 = NDArray[np.float64]

ROW_BLOCK = 1024
SAMPLED = 1000  # the most rows of a set from which its medians are computed
LEAST = 1e-2  # a squared distance below this share of |x|² + |y|² is computed again, directly
PAIRS = 2**21  # numbers in the differences that are in memory at a time


def column_medians(features: Features) -> Float64:
    """Return the median of each column of features, n×d, over at most `SAMPLED` rows: shape (d,).

    It is the centre from which `squared_distances` measures lengths. Unlike the mean, it stays
    among the rows if a few of them are outliers.
    """
    rows = features[:: -(-len(features) // SAMPLED)]
    centre: Float64 = np.median(rows.astype(np.float64), axis=0)
    return centre


def row_slices(n: int) -> Iterator[slice]:
    """Yield the slices of at most `ROW_BLOCK` rows that make up n."""
    for start in range(0, n, ROW_BLOCK):
        yield slice(start, min(start + ROW_BLOCK, n))


def squared_distances(x: Features, y: Features, centre: Float64) -> Float64:
    """Return the squared distances, n×m, of rows of x (n×d) and y (m×d), never below 0.

    They are |x|² + |y|² − 2x·y, which loses digits where x and y are long and close to each other.
    Those distances are computed again as Σ (x − y)², so that each is right but for the share
    `rounding(d)` of itself, whatever the scale of the rows.

    Args:
        x: n×d.
        y: m×d.
        centre: a point among the rows (d), from which lengths are measured: the shorter these are,
            the fewer distances are computed again.
    """
    from_x, from_y = x - centre, y - centre
    lengths = np.einsum("ij,ij->i", from_x, from_x)[:, None] + np.einsum("ij,ij->i", from_y, from_y)
    distances: Float64 = from_x @ from_y.T
    distances *= -2
    distances += lengths
    lengths *= LEAST
    lost = distances < lengths
    if lost.any():
        _compute_directly(distances, lost, x, y)
    return distances


def check_k(k: int, n: int, name: str) -> None:
    """Refuse a number of neighbours that does not fit the number of images.

    Args:
        k: number of neighbours of an image.
        n: number of images, itself included.
        name: what the message calls the images.

    Raises:
        BenchmarkError: k < 1, or k ≥ n.
    """
    if not 1 <= k < n:
        raise BenchmarkError(f"{name}: k = {k} neighbours among {n} images: k must be 1 to {n - 1}")


def rounding(dimension: int) -> float:
    """Return the largest relative error of `squared_distances` in a number of dimensions.

    Moving x and y to the centre and forming |x|² + |y|² − 2x·y of them is off by less than
    (d + 8)·u·(|x| + |y|)², u = 2⁻⁵³ (Higham 2002, section 3.1). And (|x| + |y|)² is at most
    2(|x|² + |y|²), of which the distance is the share `LEAST` or more.
    """
    return (dimension + 8) * float(np.finfo(np.float64).eps) / LEAST


def _compute_directly(
    distances: Float64, lost: NDArray[np.bool_], x: Features, y: Features
) -> None:
    """Replace the lost squared distances (n×m) of rows of x and y by sums of squared differences.

    Where many are lost, computing all of them is faster than picking pairs.
    """
    if 8 * np.count_nonzero(lost) > lost.size:
        from scipy.spatial.distance import cdist

        distances[:] = cdist(x, y, "sqeuclidean")
        return
    rows, columns = np.nonzero(lost)
    step = max(1, PAIRS // x.shape[1])
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        difference = x[i].astype(np.float64) - y[j]
        distances[i, j] = np.einsum("ij,ij->i", difference, difference)


def kth_neighbour(x: Features, k: int, name: str) -> Float64:
    """Return the squared distance (n) of each row of x (n×d) to its k-th nearest other row.

    Raises:
        BenchmarkError: k < 1, or k ≥ n; `name` says of what.
    """
    n = len(x)
    check_k(k, n, name)
    centre = column_medians(x)
    best = np.full((n, k), np.inf)
    for rows in row_slices(n):
        for columns in row_slices(rows.stop):  # the other half is its mirror image
            distances = squared_distances(x[rows], x[columns], centre)
            if rows == columns:
                np.fill_diagonal(distances, np.inf)
            else:
                best[columns] = _smallest(best[columns], distances.T, k)
            best[rows] = _smallest(best[rows], distances, k)
    radii: Float64 = best.max(axis=1)
    return radii


def kth_neighbour_without(x: Features, k: int, groups: int, size: int) -> Float64:
    """Return the squared distances to the k-th nearest other row, without each group in turn.

    The k smallest distances to each group are all it takes, so that this costs little more than
    `kth_neighbour` once.

    Args:
        x: n×d, of which the first `size` rows are group 0, the next group 1 and so on; a remainder
            is never left out.
        k: number of the neighbour, at least 1 and below n − `size`.
        groups: number of groups.
        size: rows in each group.

    Returns:
        n×(groups + 1): column g is without group g, and 0 for its own rows; the last column is
        without none.
    """
    n = len(x)
    centre = column_medians(x)
    starts = [*range(0, groups * size, size), groups * size, n]
    best = np.full((n, groups + 1, k), np.inf)
    parts = [
        (group, slice(start + block.start, start + block.stop))
        for group, (start, stop) in enumerate(itertools.pairwise(starts))
        for block in row_slices(stop - start)
    ]
    for i, (group, rows) in enumerate(parts):
        for other, columns in parts[: i + 1]:  # the other half is its mirror image
            distances = squared_distances(x[rows], x[columns], centre)
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


def _smallest(best: Float64, distances: Float64, k: int) -> Float64:
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
