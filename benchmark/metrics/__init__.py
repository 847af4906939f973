"""Metrics: arrays of features in, numbers with their uncertainty out.

Each is a part in a file of its own: a class below `Metric` with its options as fields.
"""

from benchmark.core.parts import Parts
from benchmark.metrics.base import Features, Figures, Metric, Sizes

METRICS = Parts("metric", Metric, __name__)

__all__ = ["METRICS", "Features", "Figures", "Metric", "Sizes"]
