"""Metrics: arrays of features in, numbers with their uncertainty out.

A metric is a function `(fake, real, *, options) -> Value` of two arrays of features, N×d and M×d.
To add one, write a file with such a function under `@METRICS.register(name)` and import it here;
where more of it is better, `@higher_is_better` stands below.
"""

from benchmark.metrics import frechet, frechet_infinity, kernel, manifold
from benchmark.metrics.base import METRICS, Features, Metric

__all__ = [
    "METRICS",
    "Features",
    "Metric",
    "frechet",
    "frechet_infinity",
    "kernel",
    "manifold",
]
