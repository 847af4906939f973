"""Clipped density (Salvy et al. 2026), which outliers and heaps of samples do not raise."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.core.values import Value
from benchmark.metrics.base import Features, check_pair
from benchmark.metrics.distances import Float64, column_medians, row_slices, squared_distances
from benchmark.metrics.manifold import AmongReal, closed_balls, squared_radii, within_bounds
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
        own = np.minimum((_balls(real, real, radii) - 1) / self.k, 1)  # each lies in its own ball
        counted = np.minimum(_balls(fake, real, radii) / self.k, 1) / own.mean()
        found = with_error(
            min(1.0, float(counted.mean())),
            float(counted.std(ddof=1) / np.sqrt(len(counted))),
            len(counted) - 1,
        )
        return within_bounds(found, len(fake))


def _balls(x: Features, real: Features, radii: Float64) -> NDArray[np.int64]:
    """Return in how many closed balls of real images, M×d, each row of x, N×d, lies (N)."""
    centre, counts = column_medians(real), np.zeros(len(x), np.int64)
    for rows in row_slices(len(real)):
        for columns in row_slices(len(x)):
            inside = squared_distances(real[rows], x[columns], centre) <= radii[rows, None]
            counts[columns] += inside.sum(axis=0)
    return counts
