"""Sums of kernel matrices, from which the maximum mean discrepancy and its error follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmark.metrics.base import Features
from benchmark.metrics.distances import Float64

KERNEL_BLOCK = 1024  # rows of the kernel matrix that are in memory at a time


class KernelSums:
    """Sums of the kernel matrices of two sets over rows and columns, without their diagonals.

    Args:
        fake: features, N×d.
        real: features, M×d.
        kernel: returns the kernel of all rows of two sets, n×d and m×d, as n×m.
    """

    def __init__(
        self, fake: Features, real: Features, kernel: Callable[[Float64, Float64], Float64]
    ) -> None:
        self._kernel = kernel
        self.fake, self._fake_itself = self._within(fake)
        self.real, self._real_itself = self._within(real)
        self.cross_fake, self.cross_real = self._between(fake, real)

    def unbiased(self) -> float:
        """Return the squared MMD: the U-statistic of Gretton et al. 2012, eq. 3."""
        m, n = len(self.fake), len(self.real)
        within = self.fake.sum() / (m * (m - 1)) + self.real.sum() / (n * (n - 1))
        return float(within - 2 * self.cross_fake.sum() / (m * n))

    def biased(self) -> float:
        """Return the squared MMD: the V-statistic of Gretton et al. 2012, eq. 5, at least 0."""
        m, n = len(self.fake), len(self.real)
        fake = (self.fake.sum() + self._fake_itself.sum()) / m**2
        real = (self.real.sum() + self._real_itself.sum()) / n**2
        return float(fake + real - 2 * self.cross_fake.sum() / (m * n))

    def jackknife(self) -> float:
        """Return the standard error of the U-statistic, from leaving out each image in turn."""
        m, n = len(self.fake), len(self.real)
        total = self.cross_fake.sum()
        without_fake = _left_out(self.fake) - 2 * (total - self.cross_fake) / ((m - 1) * n)
        without_real = _left_out(self.real) - 2 * (total - self.cross_real) / ((n - 1) * m)
        return float(np.sqrt((m - 1) * without_fake.var() + (n - 1) * without_real.var()))

    def _within(self, x: Features) -> tuple[Float64, Float64]:
        """Return row sums of the kernel matrix of `x` (n×d) without its diagonal, and it (n)."""
        rows, diagonal = [], []
        for start, block in zip(range(0, len(x), KERNEL_BLOCK), self._blocks(x, x), strict=True):
            diagonal.append(block.diagonal(start).copy())
            rows.append(block.sum(axis=1) - diagonal[-1])
        return np.concatenate(rows), np.concatenate(diagonal)

    def _between(self, x: Features, y: Features) -> tuple[Float64, Float64]:
        """Return the row sums (n) and the column sums (m) of the kernel matrix of `x` and `y`."""
        rows, columns = [], np.zeros(len(y))
        for block in self._blocks(x, y):
            rows.append(block.sum(axis=1))
            columns += block.sum(axis=0)
        return np.concatenate(rows), columns

    def _blocks(self, x: Features, y: Features) -> Iterator[Float64]:
        """Yield the kernel matrix of `x` (n×d) and `y` (m×d), a block of rows at a time."""
        y64 = y.astype(np.float64, copy=False)
        for start in range(0, len(x), KERNEL_BLOCK):
            yield self._kernel(x[start : start + KERNEL_BLOCK].astype(np.float64, copy=False), y64)


def _left_out(sums: Float64) -> Float64:
    """Return for each image (n) the mean of the kernel over all pairs of its side without it."""
    n = len(sums)
    means: Float64 = (sums.sum() - 2 * sums) / ((n - 1) * (n - 2))
    return means
