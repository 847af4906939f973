"""The Rényi kernel entropy of samples as a number of modes, RKE (Jalali et al. 2023)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, check_pair
from benchmark.metrics.distances import (
    SAMPLED,
    Float64,
    column_medians,
    row_slices,
    squared_distances,
)
from benchmark.metrics.uncertainty import with_error

NARROWER = 2  # times so much narrower than the images are apart is the kernel where nothing is said


class RenyiEntropy(Metric):
    """The number of modes of the samples: e to the Rényi entropy of order 2 of their kernel matrix.

    With K_ij = exp(-|x_i - x_j|²/2σ²) it is 1 over the mean of K_ij² over all pairs, of which an
    image with itself is one: m groups of equal size, far apart and each narrower than σ, count as
    m. It knows no quality. σ is that of the real images, so that rows of one data set compare; what
    the real images have themselves, the row of held-out images tells.
    """

    kind: Literal["renyi-entropy"] = "renyi-entropy"
    paper = "Jalali et al. 2023, eq. 6"
    higher_is_better = True
    sigma: float | None = Field(
        default=None,
        gt=0,
        description="Width of the kernel; null: half the median distance of two real images",
        examples=[10],
    )
    short = "rke"

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the number of modes of `fake` (N×d, N ≥ 3), from 1 to N; `real` (M×d) gives σ.

        The interval is Student's, of the jackknife's error of the entropy, and never below 1.

        Raises:
            BenchmarkError: unusable features, or more than half of the real images are equal.
        """
        check_pair(fake, real, least=3)
        sums, n = _row_sums(fake, self.sigma or _width(real)), len(fake)
        total = sums.sum()
        left_out = 2 * math.log(n - 1) - np.log(total - 2 * sums + 1)  # without each image in turn
        entropy = 2 * math.log(n) - math.log(total)
        found = with_error(entropy, math.sqrt((n - 1) * left_out.var()), n - 1)
        assert found.low is not None
        assert found.high is not None
        assert found.std_error is not None
        modes = math.exp(entropy)
        return Value(
            value=modes,
            std_error=modes * found.std_error,
            low=max(1.0, math.exp(found.low)),
            high=max(modes, min(float(n), math.exp(found.high))),
        )


def _width(real: Features) -> float:
    """Return half the median distance of two real images (M×d), of at most `SAMPLED` of them."""
    rows = real[:: -(-len(real) // SAMPLED)].astype(np.float64)
    distances = squared_distances(rows, rows, column_medians(rows))
    width = math.sqrt(float(np.median(distances[np.triu_indices(len(rows), 1)]))) / NARROWER
    if not width:
        raise BenchmarkError(
            "renyi-entropy: most real images have equal features, from which no sigma follows: "
            "state one"
        )
    return width


def _row_sums(x: Features, sigma: float) -> Float64:
    """Return Σ_j K_ij² for each row of x (n×d), of shape (n,), a block of the matrix at a time."""
    centre, sums = column_medians(x), np.zeros(len(x))
    for rows in row_slices(len(x)):
        for columns in row_slices(rows.stop):  # the other half is its mirror image
            squares = np.exp(squared_distances(x[rows], x[columns], centre) / -(sigma**2))
            if rows == columns:
                np.fill_diagonal(squares, 1.0)
            else:
                sums[columns] += squares.sum(axis=0)
            sums[rows] += squares.sum(axis=1)
    return sums
