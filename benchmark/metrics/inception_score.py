"""The Inception score (Salimans et al. 2016): a figure of class probabilities, not of features."""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import Groups, LegacySeed
from benchmark.core.values import Value
from benchmark.metrics.base import (
    METRICS,
    Features,
    Sizes,
    check_features,
    higher_is_better,
    requires,
)
from benchmark.metrics.uncertainty import Rows, jackknife, with_error


def _requirement(sizes: Sizes, *, splits: int, **_: object) -> None:
    most = sizes.fake // 2
    if not 1 <= splits <= most:
        raise BenchmarkError(
            f"inception score: {splits} splits of {sizes.fake} images: 1 to {most}"
        )


@METRICS.register("inception-score")
@requires(_requirement)
@higher_is_better
def inception_score(
    logits: Features,
    _: Features | None = None,
    *,
    splits: Annotated[int, Field(ge=1)] = 10,
    shuffle: bool = True,
    groups: Groups = 50,
    seed: LegacySeed = 2020,
) -> Value:
    """Return exp(E[KL(p(y|x) ‖ p(y))]), between 1 and the number of classes.

    The defaults of `splits`, `shuffle` and `seed` are those of torch-fidelity, and so is the value.

    Args:
        logits: N×classes, N ≥ 2: logarithms of the probabilities up to a constant per image.
        _: real images, which the score does not look at.
        splits: the score is the mean over so many parts of about equal size, as in the paper. Each
            has a lower score than the whole, being smaller. 1 takes all images at once.
        shuffle: whether images are put into another order before they are split. Without it parts
            of an ordered set hold few classes each, which lowers the score.
        groups: of the jackknife, with one split.
        seed: of the other order, and deals the groups.

    Returns:
        The value with its error and interval: those of the mean over the splits, by Student's t,
        or with one split those of the jackknife. The standard deviation over the splits, which
        papers and torch-fidelity print behind ±, is `spread_over_splits` of it.

    Raises:
        BenchmarkError: unusable logits, or fewer than 2 images in a split.
    """
    check_features(logits, "logits")
    n = len(logits)
    _requirement(Sizes(n, 0, logits.shape[1]), splits=splits)
    probabilities, negentropy = _probabilities(logits)

    def score(rows: Rows) -> float:
        marginal = probabilities[rows].mean(axis=0)
        return float(np.exp(negentropy[rows].mean() - _sum_p_log_p(marginal)))

    if splits == 1:
        rng = np.random.default_rng(seed)
        return jackknife(score(np.arange(n)), score, n, groups, rng)
    # the generator of torch-fidelity, so that the parts are the same
    order = np.random.RandomState(seed).permutation(n) if shuffle else np.arange(n)
    bounds = [i * n // splits for i in range(splits + 1)]
    scores = [score(order[start:stop]) for start, stop in itertools.pairwise(bounds)]
    error = float(np.std(scores, ddof=1) / np.sqrt(splits))
    return with_error(float(np.mean(scores)), error, splits - 1)


def spread_over_splits(value: Value, splits: int) -> float:
    """Return the standard deviation over the splits, divisor `splits`, of an Inception score."""
    return float((value.std_error or 0.0) * np.sqrt(splits - 1))


def _probabilities(logits: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the softmax of each row and its Σ p log p."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities, _sum_p_log_p(probabilities)


def _sum_p_log_p(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Σ p log p over the last axis, where 0 log 0 is 0."""
    total: NDArray[np.float64] = (p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    return total
