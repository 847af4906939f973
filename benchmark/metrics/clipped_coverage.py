"""Clipped coverage (Salvy et al. 2026): coverage that reads as a share of good samples."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.strict_model import Groups, Seed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, check_pair
from benchmark.metrics.distances import Float64
from benchmark.metrics.manifold import (
    AmongReal,
    closed_balls,
    held_by_group,
    squared_radii,
    within_bounds,
)
from benchmark.metrics.uncertainty import deal_into_groups, jackknife_value


class ClippedCoverage(AmongReal):
    """The share of samples that would cover the real images as well, if they were real themselves.

    The ball of a real image reaches to its k-th nearest other one. It counts min(1, c/k) if it
    holds c samples. The mean over the real images is what some share of the N samples would reach
    on average if they were of the real distribution and the others far from it: that share is the
    value (see `expected`), between whole samples by a straight line. The paper takes the next whole
    sample, which is at most 1/N more.

    The interval is that of the jackknife over groups of samples, cut to [0, 1]; at 0 and 1, and
    where the jackknife sees no spread, it is at least Wilson's of min(N, M/k) images.
    """

    kind: Literal["clipped-coverage"] = "clipped-coverage"
    paper = "Salvy et al. 2026"
    groups: Groups = Field(default=50, description="Of the jackknife over the generated images")
    seed: Seed = Field(default=0, description="Deals the groups")

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the clipped coverage of `real` (M×d) by `fake` (N×d), in [0, 1].

        Raises:
            BenchmarkError: unusable features, or k ≥ M.
        """
        check_pair(fake, real)
        radii = closed_balls(squared_radii(real, self.k, "real"), real.shape[1])
        n = len(fake)
        order, size = deal_into_groups(n, self.groups, np.random.default_rng(self.seed))
        group = np.arange(n) // size  # the remainder, if any, is the last group
        held = held_by_group(fake[order], real, radii, group)
        count = held.sum(axis=1)
        curve, shorter = (expected(number, len(real), self.k) for number in (n, n - size))
        left_out = [
            _share(np.minimum((count - held[:, one]) / self.k, 1), shorter)
            for one in range(n // size)
        ]
        found = jackknife_value(_share(np.minimum(count / self.k, 1), curve), left_out, n, size)
        found = found.model_copy(update={"value": min(1.0, found.value)})
        return within_bounds(found, min(n, len(real) / self.k))


def expected(samples: int, real: int, k: int) -> Float64:
    """Return what the mean over balls of min(1, c/k) is on average, if m of N samples are real.

    Of m such samples, c lie in a ball that reaches to the k-th nearest of the M − 1 other real
    images. The mass of the ball has the beta distribution of k and M − k whatever the distribution
    is, so that c has the beta-binomial one.

    Args:
        samples: N.
        real: M.
        k: number of the neighbour, below M.

    Returns:
        The mean for m = 0, 1, … N: an array of shape (N + 1).
    """
    from scipy.stats import betabinom  # takes longer to import than reading a config

    few = np.arange(k)[:, None]  # counts that are not clipped
    chances = betabinom.pmf(few, np.arange(samples + 1), k, real - k)
    curve: Float64 = 1 - ((1 - few / k) * chances).sum(axis=0)
    return curve


def _share(counted: Float64, curve: Float64) -> float:
    """Return the share of samples with which `curve` (N + 1) reaches the mean of some counts.

    By chance the mean is above the end of the curve. Then the last piece of it is continued: cut at
    1, shares would spread less than they do.
    """
    mean, samples = counted.mean(), len(curve) - 1
    if mean > curve[-1]:
        return float(1 + (mean - curve[-1]) / (curve[-1] - curve[-2]) / samples)
    return float(np.interp(mean, curve, np.linspace(0, 1, len(curve))))
