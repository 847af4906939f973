"""The judge of classes."""

from __future__ import annotations

import math

import numpy as np

from benchmark.metrics.classes import RIDGE, trained_judge, with_labels
from benchmark.metrics.uncertainty import proportion
from benchmark.records.sections import ClassFigures
from benchmark.report.classes_table import accuracy_of


def drawn(count: int, gap: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return N(±gap/2, I) in 5 dimensions, by turns of class 0 and 1, float32."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = rng.normal(size=(count, 5)) + 10
    features[:, 0] += gap * (labels - 0.5)
    return features.astype(np.float32), labels


def test_it_is_the_solution_of_ridge_regression() -> None:
    features, labels = drawn(400, 1.0, 0)
    judge = trained_judge(with_labels(features, labels))
    x = (features - features.mean(0, dtype=float)) / features.std(0, dtype=float)
    # Rows that are zero but for the square root of the penalty make ridge regression least squares.
    tall = np.vstack([x, math.sqrt(RIDGE * len(x)) * np.eye(5)])
    y = np.eye(2)[labels] - 0.5
    expected = np.linalg.lstsq(tall, np.vstack([y, np.zeros((5, 2))]), rcond=None)[0]
    assert np.allclose(judge.weights, expected, atol=1e-5)
    assert np.allclose(judge.offset, 0.5)


def test_it_reaches_the_accuracy_of_bayes_rule() -> None:
    """Of two Gaussians a distance g apart, Φ(g/2) can be told, by a plane between them."""
    for gap in (0.0, 2.0, 8.0):
        judge = trained_judge(with_labels(*drawn(4000, gap, 0)))
        features, labels = drawn(4000, gap, 1)
        found = (judge.classify(features) == labels).mean()
        best = 0.5 * (1 + math.erf(gap / 2 / math.sqrt(2)))
        assert abs(found - best) < 4 * math.sqrt(best * (1 - best) / 4000) + 1e-3


def test_features_that_never_change_and_fewer_images_than_features_do_no_harm() -> None:
    features, labels = drawn(4, 8.0, 0)
    features[:, 1] = 3
    judge = trained_judge(with_labels(features, labels))
    assert np.isfinite(judge.weights).all()
    assert (judge.classify(features) == labels).all()


def test_the_accuracy_of_all_classes_counts_their_images() -> None:
    hits = [np.array([True, False, True]), np.ones(7, bool)]
    figures = [ClassFigures(images=len(h), accuracy=proportion(h)) for h in hits]
    expected = proportion(np.concatenate(hits))
    found = accuracy_of(figures)
    assert math.isclose(found.value, expected.value)
    assert expected.low is not None
    assert found.low is not None
    assert math.isclose(found.low, expected.low)
