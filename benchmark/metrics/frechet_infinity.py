"""The Fréchet distance extrapolated to infinitely many samples (Chong and Forsyth 2020)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Groups, Seed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, Sizes, check_pair
from benchmark.metrics.frechet import SubsetDistance, statistics
from benchmark.metrics.uncertainty import Statistic, jackknife, with_error


class FrechetInfinity(Metric):
    """The Fréchet distance, extrapolated to infinitely many samples.

    It is the intercept of the line through distance against 1/N. The distance of N samples is
    biased by about a constant over N (section 3.1), once N is well above the dimension; below it
    the curve is no line, and the extrapolation is refused. The bias of the real side, which has one
    size, stays.

    The error adds two: the jackknife's of the distance at full N, since the intercept follows a
    change of the samples as the distance does (its weights add up to 1), and the line's own.
    """

    kind: Literal["frechet-infinity"] = "frechet-infinity"
    paper = "Chong and Forsyth 2020"
    points: int = Field(
        default=15,
        ge=3,
        le=1000,
        description="Distances on the line, of random subsets with N/2 to N images",
    )
    groups: Groups = Field(default=20, description="Of the jackknife")
    seed: Seed = Field(default=0, description="Draws the subsets and deals the groups")

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the extrapolated distance of `fake` (N×d, N ≥ 2(d + 1)) to `real` (M×d, M ≥ 2).

        Raises:
            BenchmarkError: unusable features, or too few samples.
        """
        check_pair(fake, real)
        n = len(fake)
        self.check_sizes(Sizes(n, len(real), fake.shape[1]))
        rng = np.random.default_rng(self.seed)
        distance = SubsetDistance(fake, statistics(real))
        found, intercept, line_error = self.extrapolated(distance, n, rng)
        at_full = jackknife(found, distance, n, self.groups, rng)
        assert at_full.std_error is not None
        error = float(np.hypot(at_full.std_error, line_error))
        return with_error(intercept, error, self.groups - 1)

    def extrapolated(
        self, distance: Statistic, n: int, rng: np.random.Generator
    ) -> tuple[float, float, float]:
        """Return a distance of all samples, that of infinitely many, and the line's standard error.

        Args:
            distance: maps row numbers, of 0 … n − 1, to the distance of these samples.
            n: number of samples.
            rng: draws the subsets.
        """
        sizes = np.linspace(n // 2, n, self.points).round().astype(int)
        found = np.array([distance(rng.choice(n, size, replace=False)) for size in sizes])
        return (float(found[-1]), *fit_intercept(1 / sizes, found))

    def check_sizes(self, sizes: Sizes) -> None:
        """Refuse fewer than 2(d + 1) samples; see `Metric.check_sizes`."""
        least = 2 * (sizes.dimension + 1)
        if sizes.fake < least:
            raise BenchmarkError(
                f"frechet-infinity: {sizes.fake} images are too few for features of dimension "
                f"{sizes.dimension}: at least {least}"
            )


def fit_intercept(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return where the least-squares line through n points meets x = 0, and its standard error.

    Args:
        x: abscissas of the points (n), n ≥ 3.
        y: ordinates of the points (n).
    """
    coefficients, covariance = np.polyfit(x, y, 1, cov=True)
    return float(coefficients[1]), float(np.sqrt(covariance[1, 1]))
