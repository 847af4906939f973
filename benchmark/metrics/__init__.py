"""Metrics: from arrays of features to values with their uncertainty.

Each is a part in a file of its own: a subclass of `Metric` with its options as fields.
"""

from benchmark.core.parts import Parts
from benchmark.metrics.base import Features, Figures, Metric, Sizes

METRICS = Parts("metric", Metric, __name__)

__all__ = ["METRICS", "Features", "Figures", "Metric", "Sizes"]
