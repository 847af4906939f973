"""The uncertainty of values: standard errors, 95 % intervals, and intervals of differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value

Rows: TypeAlias = NDArray[np.intp]
Statistic: TypeAlias = Callable[[Rows], float]

Z95 = NormalDist().inv_cdf(0.975)


def jackknife(
    value: float, statistic: Statistic, n: int, groups: int, rng: np.random.Generator
) -> Value:
    """Return the value of a statistic with the delete-a-group jackknife's error and interval.

    The rows are dealt at random into `groups` groups of one size (a remainder is never left out)
    and the statistic is computed without each in turn. No row is used twice, unlike in the
    bootstrap, whose copies distort whatever depends on distances between rows. On average the
    error is not smaller than the true one (Efron and Stein 1981); it is that of the statistic *at
    this n*, so a bias that falls with n is no part of it.

    Args:
        value: the statistic of all rows.
        statistic: maps row numbers to a number.
        n: number of rows, at least 2.
        groups: number of groups, at least 2; with n ≤ groups each row is a group.
        rng: deals the rows to the groups.

    Raises:
        BenchmarkError: fewer than 2 groups.

    Source: Shao and Wu 1989, eq. 2.7 (the delete-d jackknife).
    """
    order, size = deal_into_groups(n, groups, rng)
    left_out = [
        statistic(np.delete(order, slice(start, start + size)))
        for start in range(0, n - size + 1, size)
    ]
    return jackknife_value(value, left_out, n, size)


def deal_into_groups(n: int, groups: int, rng: np.random.Generator) -> tuple[Rows, int]:
    """Return n row numbers in random order, of shape (n,), and the size of a jackknife group.

    The first `size` rows are the first group, the next `size` rows the second, and so on.

    Raises:
        BenchmarkError: fewer than 2 groups.
    """
    if groups < 2:
        raise BenchmarkError(f"groups: {groups} are too few for a jackknife: at least 2")
    return rng.permutation(n), -(-n // groups)


def jackknife_value(value: float, left_out: Sequence[float], n: int, size: int) -> Value:
    """Return a value with its jackknife error and interval.

    Args:
        value: the statistic of all rows.
        left_out: the statistic without each group of rows in turn.
        n: number of rows.
        size: rows in a group.
    """
    error = math.sqrt((n - size) / size * np.var(left_out))
    return with_error(value, error, len(left_out) - 1)


def bootstrap(
    statistic: Statistic, n: int, replicates: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the statistic of `replicates` samples of n rows drawn with replacement (Efron 1979).

    A statistic whose bias falls with n, such as the Fréchet distance, has this bias twice in the
    replicates: they lie above its value, and spread more widely than the value does. See
    `jackknife`.

    Args:
        statistic: maps row numbers, n of 0 … n − 1, to a number.
        n: rows.
        replicates: how many samples are drawn.
        rng: draws the rows.

    Returns:
        The statistic of each sample, of shape (replicates,).
    """
    return np.array([statistic(rng.integers(0, n, n)) for _ in range(replicates)])


def percentile_interval(value: float, replicates: NDArray[np.float64]) -> Value:
    """Return the value with the standard error and the percentile interval of its replicates.

    The replicates (of shape (R,)) are shifted so that their mean is the value: a bias that the
    resampling adds does not move the interval.
    """
    deviations = replicates - replicates.mean()
    low, high = value + np.percentile(deviations, [2.5, 97.5])
    return Value(
        value=value,
        std_error=float(replicates.std(ddof=1)),
        low=min(value, float(low)),
        high=max(value, float(high)),
    )


def with_error(value: float, std_error: float, degrees: float) -> Value:
    """Return a value with its standard error and Student's t interval of `degrees` freedom."""
    from scipy.special import stdtrit  # takes longer to import than all else here

    half = float(stdtrit(degrees, 0.975)) * std_error if degrees > 0 else math.inf
    return Value(value=value, std_error=std_error, low=value - half, high=value + half)


def proportion(hits: NDArray[np.bool_]) -> Value:
    """Return the share of hits among n (shape (n,)), in [0, 1], with Wilson's interval (1927).

    Unlike the normal interval it is right near 0 and 1 too.
    """
    n, p = len(hits), float(hits.mean())
    low, high = wilson(p, n)
    return Value(value=p, std_error=math.sqrt(p * (1 - p) / n), low=low, high=high)


def wilson(p: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval (1927) of a share p of n, which need not be a whole number."""
    middle = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    # min and max remove rounding errors at p = 0 and p = 1.
    return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))


def median_rate(totals: Sequence[float], sizes: Sequence[float]) -> Value:
    """Return the median of totals / sizes, all positive, with its 95 % interval.

    One bad pair among many moves neither much. The ends of the interval are two of the rates,
    whatever their distribution: those whose ranks enclose the median in 95 of 100 series. Where no
    two ranks do so exactly, as with fewer than six pairs, the distances to the median (as factors)
    are stretched by Student's quantiles. Pairs are in the order of time: where each resembles the
    one before, they count as fewer. One pair has no interval.

    Source: David and Nagaraja 2003, section 7.1 (ranks that enclose a quantile, here by the normal
    approximation of the binomial); Bayley and Hammersley 1946 (the effective number of
    observations), where the correlation, here that of the ranks, falls as that of an AR(1) process.
    """
    rates = np.divide(totals, sizes)
    middle, n = float(np.median(rates)), len(rates)
    if n < 2:
        return Value(value=middle)
    from scipy.special import stdtrit  # takes longer to import than all else here

    correlation = _rank_correlation(rates)
    effective = n * (1 - correlation) / (1 + correlation)
    rank = max(1, math.floor(n * (0.5 - Z95 / (2 * math.sqrt(effective))) + 0.5))
    z = 2 * math.sqrt(effective) * (0.5 - (rank - 0.5) / n)
    degrees = max(1.0, effective - 1)
    stretch = float(stdtrit(degrees, 0.975) / stdtrit(degrees, NormalDist().cdf(z)))
    ordered = np.sort(rates)
    low, high = (
        middle * float(ordered[i] / middle) ** stretch if middle else 0.0
        for i in (rank - 1, n - rank)
    )
    return Value(value=middle, low=low, high=high)


def _rank_correlation(series: NDArray[np.float64]) -> float:
    """Return the correlation between the rank of each number and of the next; at least 0."""
    _, places, counts = np.unique(series, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # equal numbers share a rank
    centred = ranks - ranks.mean()
    square = float(centred @ centred)
    return max(0.0, float(centred[1:] @ centred[:-1]) / square) if square else 0.0


def inverse(value: Value) -> Value:
    """Return the inverse of a positive value, with the inverse interval."""
    return Value(
        value=1 / value.value,
        low=None if value.high is None else 1 / value.high,
        high=None if value.low is None else 1 / value.low,
    )


def with_interval(value: Value) -> Value | None:
    """Return a value with an interval: its own, else the normal one of its error; None: neither."""
    if value.low is not None and value.high is not None:
        return value
    if value.std_error is None:
        return None
    half = Z95 * value.std_error
    return value.model_copy(update={"low": value.value - half, "high": value.value + half})


def difference(a: Value, b: Value) -> Value:
    """Return a − b, both independent, with the interval that follows from their own two.

    Source: Zou and Donner 2008, eq. 4 (MOVER): skewed intervals give a skewed one.

    Raises:
        BenchmarkError: a value has no interval.
    """
    if a.low is None or a.high is None or b.low is None or b.high is None:
        raise BenchmarkError("difference: a value without an interval cannot be compared")
    delta = a.value - b.value
    return Value(
        value=delta,
        low=delta - math.hypot(a.value - a.low, b.high - b.value),
        high=delta + math.hypot(a.high - a.value, b.value - b.low),
    )


def quotient(a: Value, b: Value) -> Value:
    """Return a / b, both positive and independent, with the interval that follows from their own.

    It is that of `difference`, of the logarithms.

    Raises:
        BenchmarkError: a value has no interval, or one that reaches zero.
    """
    parts = [(v.value, v.low, v.high) for v in (a, b)]
    if any(part is not None and part <= 0 for value in parts for part in value):
        raise BenchmarkError("quotient: an interval that reaches zero has none")
    logarithms = [
        Value(value=math.log(v), low=low and math.log(low), high=high and math.log(high))
        for v, low, high in parts
    ]
    found = difference(*logarithms)
    assert found.low is not None
    assert found.high is not None
    return Value(value=a.value / b.value, low=math.exp(found.low), high=math.exp(found.high))


def differs(a: Value, b: Value, *, tests: int = 1) -> bool:
    """Return whether the 95 % interval of the difference excludes zero.

    Args:
        a: a value.
        b: another one, independent of it.
        tests: number of such tests that are made together, for which the interval is widened.

    Raises:
        BenchmarkError: a value has no interval.
    """
    delta = difference(a, b)
    assert delta.low is not None
    assert delta.high is not None
    factor = widening(tests)
    low, high = (delta.value + factor * (end - delta.value) for end in (delta.low, delta.high))
    return low > 0 or high < 0


def mean(values: ArrayLike) -> Value:
    """Return the mean of independent values, of shape (n,) with n ≥ 2, with Student's interval."""
    found = np.asarray(values, np.float64)
    error = float(found.std(ddof=1) / math.sqrt(len(found)))
    return with_error(float(found.mean()), error, len(found) - 1)


def paired_difference(a: ArrayLike, b: ArrayLike) -> Value:
    """Return the mean of a - b, of values of the same n questions (shape (n,)), and its interval.

    How hard a question is moves both values alike and leaves their difference as it is, so that
    this interval is often much narrower than that of two independent means. It is Student's.
    """
    return mean(np.asarray(a, np.float64) - np.asarray(b, np.float64))


def excludes_zero(difference: Value) -> bool:
    """Return whether the 95 % interval of a difference excludes zero.

    Raises:
        BenchmarkError: it has no interval.
    """
    if difference.low is None or difference.high is None:
        raise BenchmarkError("a difference without an interval cannot be told from zero")
    return difference.low > 0 or difference.high < 0


def widening(tests: int) -> float:
    """Return the factor by which an end of a 95 % interval moves away from its value.

    By chance one of several tests fails more often than a single one. With the wider intervals the
    chance that any fails is at most that of a single one (Bonferroni), errors being normal.
    """
    return NormalDist().inv_cdf(1 - 0.025 / tests) / Z95


def across_seeds(values: Sequence[Value]) -> Value:
    """Return the mean over seeds; its error is the scatter between them, by Student's t.

    The scatter holds the error within each run already. One seed keeps its own error and interval.
    """
    if len(values) == 1:
        return values[0]
    found = np.array([value.value for value in values])
    error = float(found.std(ddof=1)) / math.sqrt(len(found))
    return with_error(float(found.mean()), error, len(found) - 1)
