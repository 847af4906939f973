"""The kernel distance, on the features of the FID Inception called KID (Bińkowski et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import LegacySeed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, Sizes, check_pair
from benchmark.metrics.uncertainty import with_error

KERNEL_BLOCK = 1024  # rows of the kernel matrix that are in memory at a time
SUBSET_SIZE = 1000


class Kernel(Metric):
    """The squared MMD with the kernel (x·y/d + 1)³; on the 2015 Inception called KID.

    It is unbiased, and so may be below 0. Its standard error is the delete-one jackknife's over
    both sides, which is on average no smaller than the true one (Efron and Stein 1981). With
    subsets it is their standard deviation, the error of one subset and so an upper bound for their
    mean; there is no interval then.
    """

    kind: Literal["kernel"] = "kernel"
    paper = "Bińkowski et al. 2018"
    subsets: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="0 uses every image once, which has the least variance. Otherwise the mean "
        "over so many random subsets of each side, as in the paper; torch-fidelity, clean-fid "
        "take 100",
    )
    subset_size: int = Field(
        default=SUBSET_SIZE, ge=3, description="Images of each side in a subset"
    )
    seed: LegacySeed = Field(
        default=0,
        description="Draws the subsets, by the generator of torch-fidelity, whose seed is 2020",
    )
    short = "kid"

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the kernel distance of `fake` (N×d, N ≥ 3) to `real` (M×d, M ≥ 3).

        Raises:
            BenchmarkError: unusable features, or fewer images than `subset_size`.
        """
        check_pair(fake, real, least=3)
        self.check_sizes(Sizes(len(fake), *real.shape))
        if self.subsets:
            # the generator of torch-fidelity, so that the subsets are the same
            rng = np.random.RandomState(self.seed)
            return _over_subsets(fake, real, self.subsets, self.subset_size, rng)
        sums = _Sums(fake, real)
        return with_error(sums.mmd(), sums.jackknife(), min(len(fake), len(real)) - 1)

    def check_sizes(self, sizes: Sizes) -> None:
        """Refuse subsets that cannot be drawn; see `Metric.check_sizes`."""
        fewest = min(sizes.fake, sizes.real)
        if not self.subsets and self.subset_size != SUBSET_SIZE:
            raise BenchmarkError(
                "kernel: subset_size: all pairs of images are taken, once: give subsets too"
            )
        if self.subsets and (self.subset_size > fewest or self.subsets < 2):
            raise BenchmarkError(
                f"kernel: {self.subsets} subsets of {self.subset_size} cannot be drawn from "
                f"{sizes.fake} fake and {sizes.real} real images: at least 2 subsets of 3 to "
                f"{fewest}, or subsets: 0"
            )

    def uncertainty(self, value: Value) -> str | None:
        """Return what stands behind a value; of subsets it is no interval."""
        if not self.subsets:
            return super().uncertainty(value)
        return (
            f"± is the standard deviation over {self.subsets} subsets of {self.subset_size} "
            f"images (divisor {self.subsets - 1}; fidelity's is {self.subsets}), no interval of "
            "the mean"
        )


def _over_subsets(
    fake: Features, real: Features, subsets: int, size: int, rng: np.random.RandomState
) -> Value:
    values = [
        _Sums(
            fake[rng.choice(len(fake), size, replace=False)],
            real[rng.choice(len(real), size, replace=False)],
        ).mmd()
        for _ in range(subsets)
    ]
    return Value(value=float(np.mean(values)), std_error=float(np.std(values, ddof=1)))


class _Sums:
    """Sums of the kernel matrices over rows and columns, from which value and jackknife follow.

    Args:
        fake: features, N×d.
        real: features, M×d.
    """

    def __init__(self, fake: Features, real: Features) -> None:
        self.fake = _within(fake)
        self.real = _within(real)
        self.cross_fake, self.cross_real = _between(fake, real)

    def mmd(self) -> float:
        """Return the squared MMD: the U-statistic of Gretton et al. 2012, eq. 3."""
        m, n = len(self.fake), len(self.real)
        within = self.fake.sum() / (m * (m - 1)) + self.real.sum() / (n * (n - 1))
        return float(within - 2 * self.cross_fake.sum() / (m * n))

    def jackknife(self) -> float:
        """Return the standard error, from leaving out each image of both sides in turn."""
        m, n = len(self.fake), len(self.real)
        total = self.cross_fake.sum()
        without_fake = _left_out(self.fake) - 2 * (total - self.cross_fake) / ((m - 1) * n)
        without_real = _left_out(self.real) - 2 * (total - self.cross_real) / ((n - 1) * m)
        return float(np.sqrt((m - 1) * without_fake.var() + (n - 1) * without_real.var()))


def _left_out(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each image (n) the mean of the kernel over all pairs of its side without it."""
    n = len(sums)
    means: NDArray[np.float64] = (sums.sum() - 2 * sums) / ((n - 1) * (n - 2))
    return means


def _within(x: Features) -> NDArray[np.float64]:
    """Return the row sums (n) of the kernel matrix of `x` (n×d), without the diagonal."""
    diagonal: NDArray[np.float64] = (np.square(x, dtype=np.float64).mean(axis=1) + 1) ** 3
    rows: NDArray[np.float64] = np.concatenate([k.sum(axis=1) for k in _kernel_rows(x, x)])
    return rows - diagonal


def _between(x: Features, y: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the row sums (n) and the column sums (m) of the kernel matrix of `x` and `y`."""
    rows, columns = [], np.zeros(len(y))
    for block in _kernel_rows(x, y):
        rows.append(block.sum(axis=1))
        columns += block.sum(axis=0)
    return np.concatenate(rows), columns


def _kernel_rows(x: Features, y: Features) -> Iterator[NDArray[np.float64]]:
    """Yield the kernel matrix of `x` (n×d) and `y` (m×d), a block of rows at a time."""
    y64 = y.astype(np.float64, copy=False)
    for start in range(0, len(x), KERNEL_BLOCK):
        k = x[start : start + KERNEL_BLOCK].astype(np.float64, copy=False) @ y64.T / x.shape[1] + 1
        yield k * k * k
