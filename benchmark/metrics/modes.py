"""How many of the data's modes samples reach, and how far their frequencies are from the data's.

The modes are the classes of the data. Of which an image is, a judge says that has seen the training
images alone: see `benchmark.metrics.classes`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.strict_model import Seed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, check_pair
from benchmark.metrics.uncertainty import bootstrap, percentile_interval

Shares = NDArray[np.float64]


class Modes(Metric):
    """What the metrics of modes share: each is a number that follows from two sets of shares."""

    takes = "classes"
    replicates: int = Field(default=1000, ge=100, le=100_000, description="Of the bootstrap")
    seed: Seed = Field(default=0, description="Of the bootstrap")

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the number for verdicts on samples, N×classes, and classes of images, M×classes.

        Each row is 1 at its class and 0 elsewhere. The interval is the bootstrap's over samples,
        shifted so that its middle is the value, and within [0, 1].

        Raises:
            BenchmarkError: there are fewer than 2 samples or images.
        """
        check_pair(fake, real)
        of_data: Shares = real.mean(axis=0, dtype=np.float64)

        def of_rows(rows: NDArray[np.intp]) -> float:
            return self.of_shares(fake[rows].mean(axis=0, dtype=np.float64), of_data)

        n = len(fake)
        value = of_rows(np.arange(n))
        found = percentile_interval(
            value, bootstrap(of_rows, n, self.replicates, np.random.default_rng(self.seed))
        )
        assert found.low is not None
        assert found.high is not None
        return found.model_copy(update={"low": max(0.0, found.low), "high": min(1.0, found.high)})

    def of_shares(self, samples: Shares, data: Shares) -> float:
        """Return the number for the shares of classes among samples and data, (classes) each."""
        raise NotImplementedError


class ModeCoverage(Modes):
    """The share of the data's classes that samples reach, by a judge of the features.

    A class is reached if its share among the samples is at least `least` times its share of the
    data, so that single errors of the judge do not count where there are many samples: of 20 equal
    classes a single one does up to 200.
    """

    kind: Literal["mode-coverage"] = "mode-coverage"
    paper = "Metz et al. 2017, section 3.3"
    higher_is_better = True
    least: float = Field(
        default=0.1, gt=0, le=1, description="Part of its share of the data that reaches a class"
    )

    def of_shares(self, samples: Shares, data: Shares) -> float:
        """Return the share of classes of the data, shape (classes), that samples reach."""
        there = data > 0
        return float((samples[there] >= self.least * data[there]).mean())


class ModeDistance(Modes):
    """How far the frequencies of classes are from the data's, by a judge: their total variation.

    It is half the sum of the absolute differences: the share of samples that would have to be of
    another class.
    """

    kind: Literal["mode-distance"] = "mode-distance"
    paper = "Lin et al. 2018, section 4"

    def of_shares(self, samples: Shares, data: Shares) -> float:
        """Return the total variation distance of two distributions, shape (classes) each."""
        return 0.5 * float(np.abs(samples - data).sum())
