"""Metrics: arrays of features in, numbers with their uncertainty out.

A metric is a function `(fake, real, *, options) -> Value` of two arrays of features, N×d and M×d.
A metric of class probabilities calls its first argument `logits` and is given those, N×classes.
To add one, write a file with such a function under `@METRICS.register(name)` and import it here;
where more of it is better, `@higher_is_better` stands below. Where it needs more than three images,
`@requires` names a function `(sizes, *, options)` that refuses fewer: it is asked with the config.
"""

from benchmark.metrics import frechet, frechet_infinity, inception_score, kernel, manifold
from benchmark.metrics.base import (
    METRICS,
    Features,
    Figures,
    Metric,
    Sizes,
    check_sizes,
    takes_logits,
)

__all__ = [
    "METRICS",
    "Features",
    "Figures",
    "Metric",
    "Sizes",
    "check_sizes",
    "frechet",
    "frechet_infinity",
    "inception_score",
    "kernel",
    "manifold",
    "takes_logits",
]
