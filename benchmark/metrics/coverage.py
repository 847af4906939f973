"""Coverage (Naeem et al. 2020, eq. 7); see `manifold`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.strict_model import Groups, Seed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, check_pair
from benchmark.metrics.distances import column_medians, row_slices, squared_distances
from benchmark.metrics.manifold import AmongReal, squared_radii, within_bounds
from benchmark.metrics.uncertainty import deal_into_groups, jackknife_value


class Coverage(AmongReal):
    """The share of real images with a sample beside them: in their ball.

    At 0 and 1, and where the jackknife sees no spread, the interval is at least Wilson's of
    min(N, M/k) images: one generated image lies in the balls of about k real ones at once; see
    `recall`.
    """

    kind: Literal["coverage"] = "coverage"
    paper = "Naeem et al. 2020, eq. 7"
    groups: Groups = Field(default=50, description="Of the jackknife over the generated images")
    seed: Seed = Field(default=0, description="Deals the groups")

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the share of `real` (M×d) whose ball holds some image of `fake` (N×d).

        Raises:
            BenchmarkError: unusable features, or k ≥ M.
        """
        check_pair(fake, real)
        radii, centre, n = squared_radii(real, self.k, "real"), column_medians(real), len(fake)
        order, size = deal_into_groups(n, self.groups, np.random.default_rng(self.seed))
        fake, group = fake[order], np.arange(n) // size  # the remainder, if any, is the last group
        hits = np.zeros((len(real), group[-1] + 1), bool)  # whether a ball holds one of a group
        for rows in row_slices(len(real)):
            for columns in row_slices(n):
                inside = squared_distances(real[rows], fake[columns], centre) < radii[rows, None]
                groups_here, first = np.unique(group[columns], return_index=True)
                hits[rows, groups_here] |= np.logical_or.reduceat(inside, first, axis=1)
        count = np.count_nonzero(hits, axis=1)
        left_out = [float(np.mean(count > hits[:, group])) for group in range(n // size)]
        found = jackknife_value(float(np.mean(count > 0)), left_out, n, size)
        return within_bounds(found, min(n, len(real) / self.k))
