"""Do images look like their classes? A judge that has seen the training images alone says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.base import BLOCK, Features

Floats = NDArray[np.floating[Any]]

# Added to the diagonal of the features' correlations, so that those of few images have an inverse.
RIDGE = 0.01


@dataclass(frozen=True, eq=False)
class Judge:
    """A linear classifier of features: the class of the largest score (x - mean)/std · weights."""

    mean: Floats  # of the features (d)
    std: Floats  # likewise; 1 where a feature never changes
    weights: Floats  # d×classes
    offset: Floats  # of the scores (classes)

    def classify(self, features: Features) -> NDArray[np.int64]:
        """Return the number of the class that each of N images seems to be of, from N×d."""
        blocks = (features[i : i + BLOCK] for i in range(0, len(features), BLOCK))
        scores = ((block - self.mean) / self.std @ self.weights + self.offset for block in blocks)
        return np.concatenate([each.argmax(1) for each in scores])


def with_labels(features: Features, labels: NDArray[np.integer]) -> Features:
    """Return features, N×d, with the number of each image's class, N, behind them: N×(d + 1)."""
    return np.column_stack([features, labels.astype(features.dtype)])


def trained_judge(labelled: Features) -> Judge:
    """Return the judge of least squares: ridge regression of the classes, each as 1 among zeros.

    It is Hastie, Tibshirani and Friedman 2009, equations 3.44 and 4.3, of standardised features.

    Args:
        labelled: features of images and their classes, N×(d + 1), from `with_labels`.
    """
    features, labels = labelled[:, :-1], labelled[:, -1].astype(np.int64)
    count = len(features)
    mean: Floats = features.mean(axis=0, dtype=np.float64)
    std: Floats = features.std(axis=0, dtype=np.float64)
    std[std == 0] = 1
    share: Floats = np.bincount(labels) / count  # of each class
    gram = RIDGE * np.eye(len(mean))
    gain = np.zeros((len(mean), len(share)))
    for i in range(0, count, BLOCK):
        block = (features[i : i + BLOCK] - mean) / std
        gram += block.T @ block / count
        gain += block.T @ (np.eye(len(share))[labels[i : i + BLOCK]] - share) / count
    weights: Floats = np.linalg.solve(gram, gain)
    return Judge(mean, std, weights, share)
