"""What all metrics share: their base class, and the checks of their input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError, one_line
from benchmark.core.strict_model import StrictModel
from benchmark.core.values import Value
from benchmark.storage.arrays import release_pages

Features: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
S = TypeVar("S")

# The largest feature. Its square fits into float32, which the search for neighbours uses, and its
# twelfth power into float64, in which the jackknife of the kernel distance computes it.
LARGEST = 1e15
# The smallest maximum of a set of features. The fourth power of much smaller ones is 0 in float64,
# so that their distances would be 0.
SMALLEST = 1e-60
BLOCK = 4096  # rows of features that are copied at a time; above the dimension of most features


class Figures(NamedTuple):
    """Values by name; a value that could not be computed has its reason in `missing` instead."""

    values: dict[str, Value]
    missing: dict[str, str]

    def add(self, name: str, compute: Callable[[], Value]) -> None:
        """Compute one value; if that fails, keep the reason in `missing`, and raise nothing."""
        try:
            self.values[name] = compute()
        except ValidationError:
            self.missing[name] = "the result is not a finite number"
        except (BenchmarkError, ArithmeticError, np.linalg.LinAlgError) as error:
            self.missing[name] = one_line(error)


class Sizes(NamedTuple):
    """The sizes of two sets of features, which are known before the sets exist.

    Attributes:
        fake: number of images that are judged, N.
        real: number of images that they are compared with, M.
        dimension: dimension of the features, d.
    """

    fake: int
    real: int
    dimension: int


class Cache(Protocol):
    """A cache of results that follow from one set of features, N×d."""

    def __call__(self, compute: Callable[[Features], S], features: Features, *, kind: type[S]) -> S:
        """Return `compute(features)`, computed now or before.

        Args:
            compute: the function to compute.
            features: its argument, N×d.
            kind: the class of its result, a dataclass of arrays.
        """


class Metric(StrictModel):
    """A metric: its fields are its options.

    Attributes:
        kind: its name in a config.
        paper: the paper that defines it.
        higher_is_better: whether higher values are better.
        takes: its input: features of images; logits, which are the logarithms of the
            probabilities of classes that some extractors compute from features; or classes, which
            a judge tells of samples and labels of the data, as rows that are 1 at the class.
        is_distance: whether it is a Fréchet distance. Each run has exactly one, which the plots
            show. It needs only the mean and covariance of each set.
        short: its short name for `score --metrics`; empty: it has none.
    """

    kind: str
    paper: ClassVar[str] = "–"
    higher_is_better: ClassVar[bool] = False
    takes: ClassVar[Literal["features", "logits", "classes"]] = "features"
    is_distance: ClassVar[bool] = False
    short: ClassVar[str] = ""

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the value of `fake` (N×d, or N×classes) against the features `real` (M×d).

        Raises:
            BenchmarkError: it cannot be computed from these features.
        """
        raise NotImplementedError

    def reference(self, real: Features, cache: Cache) -> Any:
        """Return what `compute` gets in place of the features of the real images, M×d.

        By default it is the features themselves. A metric that needs only a summary of them takes
        it from the cache, which all cells share.
        """
        return real

    def check_sizes(self, sizes: Sizes) -> None:
        """Refuse sets that are too small for this metric, whatever their features are.

        This is called when the config is read, before there are any images.

        Raises:
            BenchmarkError: the sets are too small for the metric or its options.
        """

    def uncertainty(self, value: Value) -> str | None:
        """Return in words what the printed [a, b] or ± of a value means; None: it has neither."""
        return (
            "[a, b] is a 95 % interval over the images of FAKE" if value.low is not None else None
        )


def blocks(features: Features) -> Iterator[Features]:
    """Yield successive rows of features, N×d, few enough to be copied in float64.

    Of a file that is mapped, only the rows of one block stay in memory.
    """
    for start in range(0, len(features), BLOCK):
        yield features[start : start + BLOCK]
        release_pages(features)


def check_features(features: Features, name: str, least: int = 2) -> None:
    """Refuse features from which nothing can be computed.

    Args:
        features: should be N×d with N ≥ `least` and d ≥ 1, all finite and within ±`LARGEST`, the
            largest of them at least `SMALLEST` or 0.
        name: what the message calls them.
        least: the smallest N.

    Raises:
        BenchmarkError: another number of axes, too few rows, no columns, NaN, infinity, or so
            large or small that their products overflow or vanish.
    """
    if features.ndim != 2 or not features.shape[1]:
        raise BenchmarkError(
            f"{name}: features must be N×d with d at least 1, not of shape {features.shape}"
        )
    if len(features) < least:
        raise BenchmarkError(f"{name}: {len(features)} images are too few: at least {least}")
    largest = 0.0
    for number, block in enumerate(blocks(features)):
        if not np.isfinite(block).all():
            row = number * BLOCK + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise BenchmarkError(f"{name}: the features of image {row} hold NaN or infinity")
        largest = max(largest, float(block.max()), -float(block.min()))
    if largest > LARGEST:
        raise BenchmarkError(
            f"{name}: features of {largest:.0e} overflow when they are multiplied: at most "
            f"{LARGEST:.0e}, so scale both sets down"
        )
    if 0 < largest < SMALLEST:
        raise BenchmarkError(
            f"{name}: features of {largest:.0e} vanish when they are multiplied: the largest must "
            f"be at least {SMALLEST:.0e}, so scale both sets up"
        )


def check_pair(fake: Features, real: Features, least: int = 2) -> None:
    """Refuse two sets of features that cannot be compared.

    Args:
        fake: should be N×d; see `check_features`.
        real: should be M×d.
        least: the smallest N and M.

    Raises:
        BenchmarkError: either set is unusable, or their dimensions differ.
    """
    check_features(fake, "fake", least)
    check_features(real, "real", least)
    if fake.shape[1] != real.shape[1]:
        raise BenchmarkError(
            f"fake and real: features of dimension {fake.shape[1]} and {real.shape[1]} cannot be "
            "compared: use one extractor for both"
        )
