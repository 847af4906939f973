"""The Inception score (Salimans et al. 2016): a figure of class probabilities, not of features."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Groups, LegacySeed
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, Sizes, check_features
from benchmark.metrics.uncertainty import Rows, jackknife, with_error


class InceptionScore(Metric):
    """Whether each image is of a clear class and all classes occur; knows no real images.

    It is exp(E[KL(p(y|x) ‖ p(y))]), between 1 and the number of classes. The defaults of `splits`,
    `shuffle` and `seed` are those of torch-fidelity, and so is the value.
    """

    kind: Literal["inception-score"] = "inception-score"
    paper = "Salimans et al. 2016"
    splits: int = Field(
        default=10,
        ge=1,
        description="The score is the mean over so many parts of about equal size, as in the "
        "paper. Each has a lower score than the whole, being smaller. 1 takes all images at once",
    )
    shuffle: bool = Field(
        default=True,
        description="Whether images are put into another order before they are split. Without it "
        "parts of an ordered set hold few classes each, which lowers the score",
    )
    groups: Groups = Field(default=50, description="Of the jackknife, with one split")
    seed: LegacySeed = Field(default=2020, description="Of the other order, and deals the groups")
    higher_is_better = True
    takes = "logits"
    short = "is"

    def compute(self, fake: Features, real: Features | None = None) -> Value:
        """Return the score with its error and interval.

        They are those of the mean over the splits, by Student's t, or with one split those of the
        jackknife. The standard deviation over the splits, which papers and torch-fidelity print
        behind ±, is `spread_over_splits` of it.

        Args:
            fake: logits, N×classes, N ≥ 2: logarithms of the probabilities up to a constant per
                image.
            real: real images, which the score does not look at.

        Raises:
            BenchmarkError: unusable logits, or fewer than 2 images in a split.
        """
        check_features(fake, "logits")
        n, splits = len(fake), self.splits
        self.check_sizes(Sizes(n, 0, fake.shape[1]))
        probabilities, negentropy = _probabilities(fake)

        def score(rows: Rows) -> float:
            marginal = probabilities[rows].mean(axis=0)
            return float(np.exp(negentropy[rows].mean() - _sum_p_log_p(marginal)))

        if splits == 1:
            rng = np.random.default_rng(self.seed)
            return jackknife(score(np.arange(n)), score, n, self.groups, rng)
        # the generator of torch-fidelity, so that the parts are the same
        order = np.random.RandomState(self.seed).permutation(n) if self.shuffle else np.arange(n)
        bounds = [i * n // splits for i in range(splits + 1)]
        scores = [score(order[start:stop]) for start, stop in itertools.pairwise(bounds)]
        error = float(np.std(scores, ddof=1) / np.sqrt(splits))
        return with_error(float(np.mean(scores)), error, splits - 1)

    def check_sizes(self, sizes: Sizes) -> None:
        """Refuse splits of fewer than 2 images; see `Metric.check_sizes`."""
        most = sizes.fake // 2
        if self.splits > most:
            raise BenchmarkError(
                f"inception score: {self.splits} splits of {sizes.fake} images: 1 to {most}"
            )

    def uncertainty(self, value: Value) -> str | None:
        """Return what stands behind a value: the interval is not what papers print behind ±."""
        if self.splits == 1:
            return super().uncertainty(value)
        return (
            f"[a, b] is a 95 % interval of the mean over {self.splits} splits, whose standard "
            "deviation, the ± of papers and fidelity, is "
            f"{spread_over_splits(value, self.splits):.4g}"
        )


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
