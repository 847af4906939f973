"""Exact nearest neighbours, whatever the scale of the features.

Faiss and torch in one process can crash through their two OpenMP runtimes, so nothing here imports
torch.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.base import Features, check_pair
from benchmark.metrics.distances import Float64, column_medians, row_slices
from benchmark.storage.arrays import release_pages

Index = NDArray[np.int64]

SPARE = 8  # candidates beyond k whose distances are computed again, exactly
QUERY_BLOCK = 256  # queries whose candidates are in memory at a time, of all threads together
SEARCH_BLOCK = 2**13  # queries of one call of Faiss, which multiplies larger blocks faster
BANK_PART = 2**15  # rows of the bank that Faiss searches at a time, of which it holds a copy
ROUNDOFF = 2.0**-24  # of one operation in float32
TINY = float(np.finfo(np.float32).tiny)  # smaller numbers lose digits in float32, or become 0


class _Candidates(NamedTuple):
    """What Faiss found for n queries.

    Attributes:
        rows: row numbers in the bank, n×count; −1 where Faiss found none.
        farthest: the squared distance, in float32, of the last of them (n).
        lengths: distance of each query to the point that both sides were moved by (n).
    """

    rows: Index
    farthest: Float64
    lengths: Float64


class _Rows(NamedTuple):
    """Some rows of an array, without a copy of them.

    Attributes:
        array: M×d.
        among: the numbers of the m rows, ascending (m); None: all, m = M.
    """

    array: Features
    among: Index | None

    def __len__(self) -> int:
        return len(self.array if self.among is None else self.among)

    def take(self, key: slice | Index) -> Features:
        """Return those of the m rows that a slice or row numbers of any shape select."""
        return self.array[key if self.among is None else self.among[key]]


def nearest(
    query: Features, bank: Features, k: int, among: Index | None = None
) -> tuple[Float64, Index]:
    """Find the `k` nearest rows of `bank` for every row of `query`.

    Faiss searches exhaustively (on a GPU where its build finds one), but in float32 and by
    |x|² + |y|² − 2x·y, which is inexact for near copies and where features are far apart. So
    `SPARE` more candidates are taken and their distances are computed again in float64, directly.
    That is exact where the rounding of Faiss cannot have hidden a nearer row (see `_is_proven`).
    The other queries, few in ordinary features, are compared with all rows directly.

    Args:
        query: n×d.
        bank: M×d.
        k: between 1 and m.
        among: the only rows of the bank that are searched, ascending (m); None: all, m = M.

    Returns:
        Euclidean distances (n×k, ascending, not squared) and row numbers in `bank`, or in
        `bank[among]` (n×k). Equal distances are in the order of the rows.

    Raises:
        BenchmarkError: k is out of range, the dimensions differ, or a feature is not finite.
    """
    import faiss

    check_pair(query, bank, least=1)
    searched = _Rows(bank, among)
    size = len(searched)
    if not 1 <= k <= size:
        raise BenchmarkError(f"neighbours: {k} cannot be found among {size} images")
    found = _search(query, searched, min(k + SPARE, size))
    distances = np.empty((len(query), k))
    indices = np.empty((len(query), k), np.int64)

    count = faiss.omp_get_max_threads()
    block = max(1, QUERY_BLOCK // count)

    def compute(start: int) -> None:
        part = slice(start, start + block)
        distances[part], indices[part] = _exact(query[part], searched, found.rows[part], k)

    with ThreadPoolExecutor(count) as threads:
        for rows in row_slices(len(query)):
            list(threads.map(compute, range(rows.start, rows.stop, block)))
            release_pages(bank)
    unproven = np.flatnonzero(~_is_proven(found, distances[:, -1], size, bank.shape[1]))
    for start in range(0, len(unproven), QUERY_BLOCK):
        again = unproven[start : start + QUERY_BLOCK]
        distances[again], indices[again] = _among_all(query[again], searched, k)
    return distances, indices


def _search(query: Features, bank: _Rows, count: int) -> _Candidates:
    """Return the rows of `bank` that Faiss finds nearest, of one part of the bank after another."""
    import faiss

    centre = column_medians(bank.array).astype(np.result_type(query, bank.array))
    resources = faiss.StandardGpuResources() if faiss.get_num_gpus() > 0 else None
    found = np.full((len(query), count), -1)
    squares, lengths = np.full((len(query), count), np.inf), np.empty(len(query))
    for start in range(0, len(bank), BANK_PART):
        stop = min(start + BANK_PART, len(bank))
        index: faiss.Index = faiss.IndexFlatL2(len(centre))
        if resources is not None:
            index = faiss.index_cpu_to_gpu(resources, 0, index)
        for rows in row_slices(stop - start):
            block = bank.take(slice(start + rows.start, start + rows.stop))
            index.add((block - centre).astype(np.float32))
            release_pages(bank.array)
        for first in range(0, len(query), SEARCH_BLOCK):  # no copy of a large set is made
            rows = slice(first, first + SEARCH_BLOCK)
            moved = (query[rows] - centre).astype(np.float32)
            release_pages(query)
            new_squares, new_rows = index.search(moved, min(count, index.ntotal))
            squares[rows], found[rows] = _nearer(
                squares[rows], found[rows], new_squares, new_rows, start
            )
            lengths[rows] = np.sqrt(np.einsum("ij,ij->i", moved, moved, dtype=np.float64))
    return _Candidates(found, squares[:, -1], lengths)


def _nearer(
    squares: Float64, rows: Index, new_squares: Features, new_rows: Index, start: int
) -> tuple[Float64, Index]:
    """Join candidates (n×count) with those of a part that begins at row `start` (n×any number).

    Returns:
        The `count` nearest of both, ascending: squared distances and rows, each n×count.
    """
    squares = np.concatenate([squares, new_squares], axis=1)
    rows = np.concatenate([rows, np.where(new_rows < 0, -1, new_rows + start)], axis=1)
    order = np.argsort(squares, axis=1, kind="stable")[:, : rows.shape[1] - new_rows.shape[1]]
    return np.take_along_axis(squares, order, 1), np.take_along_axis(rows, order, 1)


def _is_proven(found: _Candidates, radii: Float64, size: int, dimension: int) -> NDArray[np.bool_]:
    """Tell for which queries no row but the candidates can be among the k nearest.

    Let r be the exact distance of a query x to the k-th nearest candidate; all lengths are measured
    from the point that both sides were moved by. A row y longer than |x| + r is farther than r. For
    any other, |x| + |y| is at most s = 2|x| + r, so that rounding x and y to float32 and forming
    |x|² + |y|² − 2x·y of them, in whatever order, is off by less than (d + 8)·u·s², u = 2⁻²⁴
    (Higham 2002, section 3.1), and by what lies below the smallest number of float32. Faiss found
    y no nearer than its last candidate. If that is farther than r by more than the error, so is y.

    Args:
        found: the candidates of n queries.
        radii: r (n).
        size: rows of the bank.
        dimension: d.
    """
    proven: NDArray[np.bool_] = found.rows.min(axis=1) >= 0
    if found.rows.shape[1] == size:
        return proven
    reach = 2 * found.lengths + radii
    error = (dimension + 8) * (ROUNDOFF * reach**2 + 4 * TINY * (1 + reach))
    proven[radii**2 + error >= found.farthest] = False
    return proven


def _exact(query: Features, bank: _Rows, candidates: Index, k: int) -> tuple[Float64, Index]:
    """Return distances and rows of the `k` nearest of the candidates, computed in float64."""
    candidates = np.sort(candidates, axis=1)
    difference = np.subtract(bank.take(candidates), query[:, None], dtype=np.float64)
    distances = np.sqrt(np.square(difference, out=difference).sum(axis=2))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(candidates, order, 1)


def _among_all(query: Features, bank: _Rows, k: int) -> tuple[Float64, Index]:
    """Return distances and rows of the `k` nearest of all rows, computed in float64."""
    from scipy.spatial.distance import cdist

    distances = np.full((len(query), k), np.inf)
    indices = np.zeros((len(query), k), np.int64)
    for rows in row_slices(len(bank)):
        numbers = np.tile(np.arange(rows.start, rows.stop), (len(query), 1))
        distances = np.concatenate([distances, cdist(query, bank.take(rows))], axis=1)
        indices = np.concatenate([indices, numbers], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        distances = np.take_along_axis(distances, order, 1)
        indices = np.take_along_axis(indices, order, 1)
    return distances, indices
