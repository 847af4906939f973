"""Measure how often the interval of a figure holds its mean, by kind of features.

Usage: `uv run python tests/unit/interval_coverage.py 200 frechet`, the number of sample sets per
figure and what is measured: a metric, a difference or a quotient. It prints the rows of two tables
in docs/metrics.md: for sets of N images each, of the distribution of the 1,000 real ones, the share
of the intervals that hold the mean over all sets; and that mean.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.base import Metric
from benchmark.metrics.clipped_coverage import ClippedCoverage
from benchmark.metrics.clipped_density import ClippedDensity
from benchmark.metrics.frechet import Frechet, GaussianStats, statistics
from benchmark.metrics.gaussian_kernel import GaussianKernel
from benchmark.metrics.monge import Monge
from benchmark.metrics.renyi import RenyiEntropy
from benchmark.metrics.uncertainty import difference, quotient

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
    "monge-of-1000": Monge(),
    "renyi-entropy": RenyiEntropy(),
}
LARGER = 1.2  # times as far from 0 are the samples of a second model
MORE_SIZES = {
    "frechet": [*SIZES, (100, 1024)],
    "monge-of-1000": [(60, 64), (100, 64)],
    "difference": SIZES[1:4],
    "difference-of-any-training-set": SIZES[1:4],
    "quotient": SIZES[1:4],
}


@functools.cache
def real_images(name: str, draw: Draw, d: int) -> Array | GaussianStats:
    drawn = as_embeddings(name, draw(REAL, d, np.random.default_rng(1)))
    return statistics(drawn) if METRICS[name].is_distance else drawn


def as_embeddings(name: str, features: Array) -> Array:
    """Return the features, N×d, as a metric is given them: CMMD's have length 1."""
    if name != "gaussian-kernel":
        return features
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def metric_of(name: str, draw: Draw, n: int, d: int, seed: int) -> Value:
    fake = as_embeddings(name, draw(n, d, np.random.default_rng(100 + seed)))
    return METRICS[name].compute(fake, real_images(name, draw, d))


def of_two(name: str, draw: Draw, n: int, d: int, seed: int) -> Value:
    """Return the distance of a second model's n images minus that of n others, or over it."""
    anew = name == "difference-of-any-training-set"
    real = statistics(draw(REAL, d, np.random.default_rng(10**6 + seed if anew else 1)))
    rng = np.random.default_rng(100 + seed)
    sets = LARGER * draw(n, d, rng), draw(n, d, rng)
    distances = (Frechet().compute(x, real) for x in sets)
    return (quotient if name == "quotient" else difference)(*distances)


def covered(name: str, draw: Draw, n: int, d: int, sets: int) -> tuple[float | None, float]:
    """Return the share of intervals of sets of n images that hold the mean, and the mean.

    The share is None where fewer than half of the sets have an interval.
    """
    found = []
    for seed in range(sets):
        with contextlib.suppress(BenchmarkError):  # a quotient by what may be 0
            found.append((metric_of if name in METRICS else of_two)(name, draw, n, d, seed))
    if 2 * len(found) < sets:
        return None, float("nan")
    mean = float(np.mean([value.value for value in found]))
    held = [value.low <= mean <= value.high for value in found]
    return float(np.mean(held)), mean


if __name__ == "__main__":
    sets, name = int(sys.argv[1]), sys.argv[2]
    sizes = MORE_SIZES.get(name, SIZES)
    means = []
    for draw in (gaussian, relu, skewed, clustered, outliers):
        results = [covered(name, draw, n, d, sets) for n, d in sizes]
        shares = ("–" if share is None else f"{share:.2f}" for share, _ in results)
        print("|", draw.__name__, "|", " | ".join(shares), "|", flush=True)
        means.append([f"{mean:.3g}" for _, mean in results])
        means[-1].insert(0, draw.__name__)
    print("\nmeans")
    for row in means:
        print("|", " | ".join(row), "|")
