"""Exact nearest neighbours.

Faiss and torch in one process can crash through their two OpenMP runtimes, so nothing here imports
torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.metrics.base import Features, check_pair

SPARE = 8  # candidates beyond k whose distances are computed again, exactly
BLOCK = 256  # queries whose candidates are held at a time


def nearest(
    query: Features, bank: Features, k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the `k` nearest rows of `bank` for every row of `query`.

    Faiss searches exhaustively (on a GPU where its build finds one), in float32 and by
    |x|² + |y|² − 2x·y, which is inexact for near copies. So both sides are centred, `SPARE` more
    candidates are taken, and their distances are computed again in float64.

    Args:
        query: n×d.
        bank: m×d.
        k: between 1 and m.

    Returns:
        Euclidean distances (n×k, ascending, not squared) and row numbers in `bank` (n×k). Equal
        distances are in the order of the rows.

    Raises:
        BenchmarkError: k is out of range, the dimensions differ, or a feature is not finite.
    """
    check_pair(query, bank, least=1)
    if not 1 <= k <= len(bank):
        raise BenchmarkError(f"neighbours: {k} cannot be found among {len(bank)} images")
    candidates = _search(query, bank, min(k + SPARE, len(bank)))
    distances = np.empty((len(query), k))
    indices = np.empty((len(query), k), np.int64)
    for start in range(0, len(query), BLOCK):
        rows = slice(start, start + BLOCK)
        distances[rows], indices[rows] = _exact(query[rows], bank, candidates[rows], k)
    return distances, indices


def _search(query: Features, bank: Features, count: int) -> NDArray[np.int64]:
    """Return the rows of `bank` that Faiss finds nearest, n×count."""
    import faiss

    centre = bank.mean(axis=0, dtype=np.float64)
    index: faiss.Index = faiss.IndexFlatL2(bank.shape[1])
    if faiss.get_num_gpus() > 0:
        resources = faiss.StandardGpuResources()
        index = faiss.index_cpu_to_gpu(resources, 0, index)
    index.add((bank - centre).astype(np.float32))
    found: NDArray[np.int64] = index.search((query - centre).astype(np.float32), count)[1]
    return found


def _exact(
    query: Features, bank: Features, candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances and rows of the `k` nearest of the candidates, computed in float64."""
    candidates = np.sort(candidates, axis=1)
    difference = bank[candidates].astype(np.float64) - query[:, None]
    distances = np.sqrt(np.square(difference).sum(axis=2))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(candidates, order, 1)
