"""The distance by a Gaussian kernel, on CLIP's embeddings called CMMD (Jayasumana et al. 2024)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, check_pair
from benchmark.metrics.distances import Float64, column_medians, squared_distances
from benchmark.metrics.kernel_sums import KernelSums
from benchmark.metrics.uncertainty import with_error

SCALE = 1000  # by which the authors make the figures readable


class GaussianKernel(Metric):
    """1,000 times the squared MMD with the kernel exp(−|x − y|²/2σ²); on CLIP called CMMD.

    As in the authors' program, each image counts with itself too, which adds about
    1000·(1 − k̄)·(1/N + 1/M), k̄ the mean of the kernel over pairs of one side. The standard error
    is the delete-one jackknife's over both sides, of the mean over pairs of different images.
    """

    kind: Literal["gaussian-kernel"] = "gaussian-kernel"
    paper = "Jayasumana et al. 2024"
    sigma: float = Field(
        default=10.0, gt=0, description="Width of the kernel; 10, for embeddings of length 1"
    )
    short = "cmmd"

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the distance of `fake` (N×d, N ≥ 3) to `real` (M×d, M ≥ 3), at least 0.

        Raises:
            BenchmarkError: unusable features.
        """
        check_pair(fake, real, least=3)
        sums = KernelSums(fake, real, self.kernel)
        value, error = max(0.0, SCALE * sums.biased()), SCALE * sums.jackknife()
        found = with_error(value, error, min(len(fake), len(real)) - 1)
        return found.model_copy(update={"low": max(0.0, found.low or 0.0)})

    def kernel(self, x: Float64, y: Float64) -> Float64:
        """Return exp(−|x − y|²/2σ²) of the rows of x (n×d) and y (m×d), n×m."""
        squares = squared_distances(x, y, column_medians(y))
        found: Float64 = np.exp(squares / (-2 * self.sigma**2))
        return found
