"""Clipped density (Salvy et al. 2026), which outliers and heaps of samples do not raise."""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.core.values import Value
from benchmark.metrics.base import Features, check_pair
from benchmark.metrics.manifold import (
    AmongReal,
    balls_round,
    closed_balls,
    squared_radii,
    within_bounds,
)
from benchmark.metrics.uncertainty import with_error


class ClippedDensity(AmongReal):
    """The share of samples that lie as densely among real images as these do.

    The ball of a real image reaches to its k-th nearest other one, and no farther than half of the
    balls do. A sample counts min(1, c/k) if it lies in c balls, borders included. The mean is
    divided by that of the real images, each without its own ball, and is at most 1. So it falls
    linearly with the share of samples that are far from all real images.

    The interval is Student's of the mean over the samples, cut to [0, 1]; at 0 and 1, and where
    all samples count alike, it is at least Wilson's of N.
    """

    kind: Literal["clipped-density"] = "clipped-density"
    paper = "Salvy et al. 2026"

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the clipped density of `fake` (N×d) among `real` (M×d), in [0, 1].

        Raises:
            BenchmarkError: unusable features, or k ≥ M.
        """
        check_pair(fake, real)
        radii = squared_radii(real, self.k, "real")
        half = np.median(np.sqrt(radii)) ** 2  # no median of squares, if M is even
        radii = closed_balls(np.minimum(radii, half), real.shape[1])
        others = balls_round(real, real, radii) - 1  # each lies in its own ball
        own = np.minimum(others / self.k, 1)
        counted = np.minimum(balls_round(fake, real, radii) / self.k, 1) / own.mean()
        found = with_error(
            min(1.0, float(counted.mean())),
            float(counted.std(ddof=1) / np.sqrt(len(counted))),
            len(counted) - 1,
        )
        return within_bounds(found, len(fake))
