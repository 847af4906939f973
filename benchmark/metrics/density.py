"""Density (Naeem et al. 2020, eq. 6); see `manifold`."""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.core.values import Value
from benchmark.metrics.base import Features
from benchmark.metrics.manifold import AmongReal, real_balls
from benchmark.metrics.uncertainty import wilson, with_error


class Density(AmongReal):
    """How dense the real images are round a sample.

    It is in how many balls of real images a sample lies on average, over k. The error is that of a
    mean over the generated images. Where all of them lie in equally many balls, as in none, it
    would be 0. Instead, up to a share w of the model's images may do otherwise, of which N show
    none: w is Wilson's upper end of 0 in N, close to the rule of three (Hanley and Lippman-Hand
    1983). They lie in no ball or in k more, as many as an image of the real distribution on average
    (Naeem et al. 2020), so the interval reaches w·density down and w up.
    """

    kind: Literal["density"] = "density"
    paper = "Naeem et al. 2020, eq. 6"

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the density of `fake` (N×d) among `real` (M×d), ≥ 0; it may exceed 1.

        Raises:
            BenchmarkError: unusable features, or k ≥ M.
        """
        balls = real_balls(fake, real, self.k) / self.k
        if balls.min() == balls.max():
            value, share = float(balls[0]), wilson(0, len(balls))[1]
            return Value(value=value, low=value * (1 - share), high=value + share)
        error = float(balls.std(ddof=1) / np.sqrt(len(balls)))
        found = with_error(float(balls.mean()), error, len(balls) - 1)
        return found.model_copy(update={"low": max(0.0, found.low or 0.0)})
