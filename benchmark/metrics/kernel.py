"""The kernel distance, on the features of the FID Inception called KID (Bińkowski et al. 2018)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import LegacySeed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, Sizes, check_pair
from benchmark.metrics.distances import Float64
from benchmark.metrics.kernel_sums import KernelSums
from benchmark.metrics.uncertainty import with_error

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
        sums = KernelSums(fake, real, cubic)
        return with_error(sums.unbiased(), sums.jackknife(), min(len(fake), len(real)) - 1)

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
        KernelSums(
            fake[rng.choice(len(fake), size, replace=False)],
            real[rng.choice(len(real), size, replace=False)],
            cubic,
        ).unbiased()
        for _ in range(subsets)
    ]
    return Value(value=float(np.mean(values)), std_error=float(np.std(values, ddof=1)))


def cubic(x: Float64, y: Float64) -> Float64:
    """Return the kernel (x·y/d + 1)³ of the rows of x (n×d) and y (m×d), n×m."""
    k: Float64 = x @ y.T / x.shape[1] + 1
    return k * k * k
