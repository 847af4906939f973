"""Measure how often the interval of a distance holds its mean, by kind of features.

Usage: `uv run python tests/unit/interval_coverage.py 200 frechet`, the number of sample sets per
figure and the metric. It prints the rows of a table in docs/metrics.md: sets of N images each, of
the distribution of the 1,000 real ones, and the share of the intervals that hold the mean over all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.base import Metric
from benchmark.metrics.clipped_coverage import ClippedCoverage
from benchmark.metrics.clipped_density import ClippedDensity
from benchmark.metrics.frechet import Frechet, statistics
from benchmark.metrics.gaussian_kernel import GaussianKernel
from benchmark.metrics.monge import Monge
from benchmark.metrics.renyi import RenyiEntropy

Array = NDArray[np.float64]
Draw = Callable[[int, int, np.random.Generator], Array]

SIZES = [(5, 64), (20, 64), (60, 64), (100, 64), (100, 300), (500, 64)]  # N, d
REAL = 1000


def gaussian(n: int, d: int, rng: np.random.Generator) -> Array:
    return rng.normal(size=(n, d)) * np.linspace(1, 0.1, d)


def relu(n: int, d: int, rng: np.random.Generator) -> Array:
    """Like the features of a network: a layer of fixed weights, a third of its outputs above 0."""
    weights = np.random.default_rng(9).normal(size=(d, d)) / np.sqrt(d)
    return np.maximum(rng.normal(size=(n, d)) @ weights - 0.5, 0)


def skewed(n: int, d: int, rng: np.random.Generator) -> Array:
    return rng.lognormal(size=(n, d)) * np.linspace(1, 0.1, d)


def clustered(n: int, d: int, rng: np.random.Generator) -> Array:
    """Two clusters, ten of their own deviations apart in every dimension."""
    return 0.3 * rng.normal(size=(n, d)) + 3 * rng.integers(0, 2, (n, 1))


def outliers(n: int, d: int, rng: np.random.Generator) -> Array:
    """Two in a hundred images are ten times as far out."""
    return rng.normal(size=(n, d)) * np.where(rng.random((n, 1)) < 0.02, 10, 1)


METRICS: dict[str, Metric] = {
    "clipped-coverage": ClippedCoverage(),
    "clipped-density": ClippedDensity(),
    "frechet": Frechet(),
    "gaussian-kernel": GaussianKernel(),
    "monge": Monge(projections=100),
    "renyi-entropy": RenyiEntropy(),
}


def covered(metric: Metric, draw: Draw, n: int, d: int, sets: int) -> float:
    """Return the share of intervals of sets of n images that hold the mean over all sets."""
    drawn = draw(REAL, d, np.random.default_rng(1))
    real = statistics(drawn) if metric.is_distance else drawn
    found = [metric.compute(draw(n, d, np.random.default_rng(100 + i)), real) for i in range(sets)]
    mean = np.mean([value.value for value in found])
    return float(np.mean([value.low <= mean <= value.high for value in found]))


if __name__ == "__main__":
    for draw in (gaussian, relu, skewed, clustered, outliers):
        metric, sets = METRICS[sys.argv[2]], int(sys.argv[1])
        shares = [covered(metric, draw, n, d, sets) for n, d in SIZES]
        print(
            "|", draw.__name__, "|", " | ".join(f"{share:.2f}" for share in shares), "|", flush=True
        )
