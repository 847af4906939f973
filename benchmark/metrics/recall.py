"""Recall (Kynkäänniemi et al. 2019, eq. 2); see `manifold`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Groups, Seed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, Sizes, check_pair
from benchmark.metrics.distances import (
    column_medians,
    kth_neighbour_without,
    row_slices,
    squared_distances,
)
from benchmark.metrics.manifold import open_balls, refuse_empty, within_bounds
from benchmark.metrics.uncertainty import deal_into_groups, jackknife_value


class Recall(Metric):
    """The share of real images among the samples: in the ball of some sample.

    At 0 and 1, and where the jackknife sees no spread (there is no standard error then), the
    interval is at least Wilson's of min(N/k, M) images: balls that hold k of N images overlap, so
    that about N/k of them stand for themselves (clusters of k, Kish 1965).
    """

    kind: Literal["recall"] = "recall"
    paper = "Kynkäänniemi et al. 2019, eq. 2"
    k: int = Field(
        default=5,
        ge=1,
        description="A ball reaches to the k-th nearest other image, also when a group is left out",
    )
    groups: Groups = Field(default=10, description="Of the jackknife over the generated images")
    seed: Seed = Field(default=0, description="Deals the groups")
    higher_is_better = True

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the share of `real` (M×d) in the ball of some image of `fake` (N×d).

        Raises:
            BenchmarkError: unusable features, or k too large.
        """
        check_pair(fake, real)
        n = len(fake)
        order, size = deal_into_groups(n, self.groups, np.random.default_rng(self.seed))
        self.check_sizes(Sizes(n, *real.shape))
        fake = fake[order]
        radii = open_balls(kth_neighbour_without(fake, self.k, n // size, size), fake.shape[1])
        refuse_empty(radii[:, -1], self.k, "fake")
        hits, centre = np.zeros((len(real), radii.shape[1]), bool), column_medians(real)
        for points in row_slices(len(real)):
            for balls in row_slices(n):
                distances = squared_distances(real[points], fake[balls], centre)
                for group in range(radii.shape[1]):
                    hits[points, group] |= (distances < radii[balls, group]).any(axis=1)
        *left_out, value = hits.mean(axis=0).tolist()
        found = jackknife_value(value, left_out, n, size)
        return within_bounds(found, min(n / self.k, len(real)))

    def check_sizes(self, sizes: Sizes) -> None:
        """Refuse balls that reach to too many generated images, also when a group is left out."""
        n, size = sizes.fake, -(-sizes.fake // self.groups)
        if self.k >= n - size:
            raise BenchmarkError(
                f"fake: k = {self.k} neighbours among {n} images, {size} of them left out in turn: "
                f"k must be 1 to {n - size - 1}"
            )
