"""Coverage (Naeem et al. 2020, eq. 7); see `manifold`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.strict_model import Groups, Seed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, check_pair
from benchmark.metrics.manifold import AmongReal, held_by_group, squared_radii, within_bounds
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
        radii, n = squared_radii(real, self.k, "real"), len(fake)
        order, size = deal_into_groups(n, self.groups, np.random.default_rng(self.seed))
        group = np.arange(n) // size  # the remainder, if any, is the last group
        held = held_by_group(fake[order], real, radii, group)
        count = held.sum(axis=1)
        left_out = [float(np.mean(count > held[:, one])) for one in range(n // size)]
        found = jackknife_value(float(np.mean(count > 0)), left_out, n, size)
        return within_bounds(found, min(n, len(real) / self.k))
