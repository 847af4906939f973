"""Precision (Kynkäänniemi et al. 2019, eq. 1); see `manifold`."""

from __future__ import annotations

from typing import Literal

from benchmark.core.values import Value
from benchmark.metrics.base import Features
from benchmark.metrics.manifold import AmongReal, real_balls
from benchmark.metrics.uncertainty import proportion


class Precision(AmongReal):
    """The share of samples among the real images: in the ball of some real one.

    The interval is Wilson's over the generated images.
    """

    kind: Literal["precision"] = "precision"
    paper = "Kynkäänniemi et al. 2019, eq. 1"

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the share of `fake` (N×d) in the ball of some image of `real` (M×d).

        Raises:
            BenchmarkError: unusable features, or k ≥ M.
        """
        return proportion(real_balls(fake, real, self.k) > 0)
