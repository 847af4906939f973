"""What all metrics share: their registry and the check of their input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.registry import Registry
from benchmark.core.values import Value

Features: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Metric: TypeAlias = Callable[..., Value]
M = TypeVar("M", bound=Metric)

# Its square fits into float32, of the search for neighbours; its twelfth power, of the jackknife of
# the kernel distance, into float64.
LARGEST = 1e15
# The fourth power of what is far smaller is 0 in float64, and with it distances are.
SMALLEST = 1e-60
BLOCK = 4096  # rows; more than the dimension of most features

METRICS: Registry[Metric] = Registry("metric")
_HIGHER_IS_BETTER: set[Metric] = set()


class Figures(NamedTuple):
    """Values by name, and for each that could not be computed the reason in its place."""

    values: dict[str, Value]
    missing: dict[str, str]

    def add(self, name: str, compute: Callable[[], Value]) -> None:
        """Compute one value. Where that is impossible, the others do not suffer from it."""
        try:
            self.values[name] = compute()
        except ValidationError:
            self.missing[name] = "the result is not a finite number"
        except (BenchmarkError, ArithmeticError, np.linalg.LinAlgError) as error:
            self.missing[name] = " ".join(str(error).split())


class Sizes(NamedTuple):
    """What can be known of two sets of features before they exist."""

    fake: int  # images that are judged, N
    real: int  # images that they are compared with, M
    dimension: int  # of the features, d


# Raises BenchmarkError where a metric cannot be computed from sets of such sizes. It is called with
# the sizes and, as keywords, with all options of the metric.
Requirement: TypeAlias = Callable[..., None]
_REQUIREMENTS: dict[Metric, Requirement] = {}


def requires(requirement: Requirement) -> Callable[[M], M]:
    """Declare what a metric requires of the sizes of its sets, to be refused with the config."""

    def add(metric: M) -> M:
        _REQUIREMENTS[metric] = requirement
        return metric

    return add


def check_sizes(name: str, sizes: Sizes, options: dict[str, Any]) -> None:
    """Refuse sets from which a registered metric cannot be computed, whatever is in them.

    Args:
        name: of the metric.
        sizes: of the sets.
        options: all options of the metric, by name.

    Raises:
        BenchmarkError: the sets are too small for the metric or its options.
    """
    if requirement := _REQUIREMENTS.get(METRICS.get(name)):
        requirement(sizes, **options)


def higher_is_better(metric: M) -> M:
    """Declare that a metric is better when it is higher; of all others lower is better."""
    _HIGHER_IS_BETTER.add(metric)
    return metric


def is_higher_better(name: str) -> bool:
    """Tell which end of a registered metric is the better one.

    Raises:
        BenchmarkError: no metric has this name.
    """
    return METRICS.get(name) in _HIGHER_IS_BETTER


def takes_logits(name: str) -> bool:
    """Tell whether a metric is of class logits, as its first argument is then called."""
    return next(iter(inspect.signature(METRICS.get(name)).parameters)) == "logits"


def blocks(features: Features) -> Iterator[Features]:
    """Yield successive rows of features, N×d, few enough to be copied in float64."""
    for start in range(0, len(features), BLOCK):
        yield features[start : start + BLOCK]


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
    if not all(np.isfinite(block).all() for block in blocks(features)):
        row = int(np.argmin(np.isfinite(features).all(axis=1)))
        raise BenchmarkError(f"{name}: the features of image {row} hold NaN or infinity")
    largest = max(float(features.max()), -float(features.min()))
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
