"""The Inception score (Salimans et al. 2016): a figure of class probabilities, not of features."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.errors import BenchmarkError
from benchmark.metrics.base import (
    METRICS,
    Features,
    Sizes,
    check_features,
    higher_is_better,
    requires,
)
from benchmark.metrics.uncertainty import Rows, jackknife, with_error
from benchmark.records import Value
from benchmark.strict import Groups, Seed


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
    splits: Annotated[int, Field(ge=1)] = 1,
    groups: Groups = 50,
    seed: Seed = 0,
) -> Value:
    """Return exp(E[KL(p(y|x) ‖ p(y))]), between 1 and the number of classes.

    Args:
        logits: N×classes, N ≥ 2: logarithms of the probabilities up to a constant per image.
        _: real images, which the score does not look at.
        splits: 1 takes all images at once, with the jackknife's error. The paper's 10 takes the
            mean over so many runs of images in their order; each has a lower score, being smaller.
        groups: of the jackknife.
        seed: deals the groups.

    Raises:
        BenchmarkError: unusable logits, or fewer than 2 images in a split.
    """
    check_features(logits, "logits")
    _requirement(Sizes(len(logits), 0, logits.shape[1]), splits=splits)
    probabilities, negentropy = _probabilities(logits)

    def score(rows: Rows) -> float:
        marginal = probabilities[rows].mean(axis=0)
        return float(np.exp(negentropy[rows].mean() - _sum_p_log_p(marginal)))

    everything = np.arange(len(logits))
    if splits == 1:
        rng = np.random.default_rng(seed)
        return jackknife(score(everything), score, len(logits), groups, rng)
    scores = [score(rows) for rows in np.array_split(everything, splits)]
    error = float(np.std(scores, ddof=1) / np.sqrt(splits))
    return with_error(float(np.mean(scores)), error, splits - 1)


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
