import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import (
    across_seeds,
    bootstrap,
    difference,
    differs,
    excludes_zero,
    inverse,
    jackknife,
    median_rate,
    paired_difference,
    percentile_interval,
    proportion,
    quotient,
    with_error,
    with_interval,
)

Rows = NDArray[np.intp]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mean_of(x: NDArray[np.float64], groups: int, seed: int = 0) -> Value:
    return jackknife(float(x.mean()), lambda rows: float(x[rows].mean()), len(x), groups, rng(seed))


def test_jackknife_of_a_mean_is_the_textbook_error() -> None:
    x = rng().normal(size=37)
    found = mean_of(x, groups=37)
    assert found.std_error == pytest.approx(scipy.stats.sem(x), rel=1e-12)
    low, high = scipy.stats.t.interval(0.95, 36, x.mean(), scipy.stats.sem(x))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_jackknife_matches_scipy_on_a_nonlinear_statistic() -> None:
    x = rng(1).lognormal(size=30)

    def statistic(rows: Rows) -> float:
        return float(x[rows].var(ddof=1) / x[rows].mean())

    left_out = [statistic(np.delete(np.arange(30), i)) for i in range(30)]
    expected = np.sqrt(29 / 30 * np.sum((left_out - np.mean(left_out)) ** 2))
    found = jackknife(statistic(np.arange(30)), statistic, 30, 100, rng())
    assert found.std_error == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "groups"), [(100, 10), (103, 10), (64, 50)])
def test_groups_of_one_size_give_the_same_error_on_average(n: int, groups: int) -> None:
    x = rng(2).normal(size=n)
    errors = [mean_of(x, groups, seed).std_error or 0 for seed in range(300)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(scipy.stats.sem(x), rel=0.06)


def test_groups_leave_out_equally_many_and_each_row_at_most_once() -> None:
    kept: list[Rows] = []

    def record(rows: Rows) -> float:
        kept.append(np.sort(rows))
        return float(rows[0])

    jackknife(0.0, record, 103, 10, rng())
    assert {len(rows) for rows in kept} == {103 - 11}
    left_out = np.concatenate([np.setdiff1d(np.arange(103), rows) for rows in kept])
    assert len(np.unique(left_out)) == len(left_out) == 99


def test_one_group_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="groups: 1 are too few for a jackknife"):
        mean_of(np.arange(5.0), groups=1)


def test_bootstrap_of_a_mean_spreads_by_its_error() -> None:
    x = rng(3).normal(size=80)
    replicates = bootstrap(lambda rows: float(x[rows].mean()), 80, 4000, rng())
    assert replicates.std() == pytest.approx(x.std() / np.sqrt(80), rel=0.05)
    assert replicates.mean() == pytest.approx(x.mean(), abs=4 * x.std() / np.sqrt(80 * 4000))


def test_centred_interval_has_the_percentiles_of_the_replicates_around_the_value() -> None:
    replicates = rng(4).exponential(size=10_000)
    found = percentile_interval(50.0, replicates + 7)
    low, high = np.quantile(replicates - replicates.mean(), [0.025, 0.975])
    assert found.low == pytest.approx(50 + low)
    assert found.high == pytest.approx(50 + high)
    assert found.std_error == pytest.approx(replicates.std(ddof=1))


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_proportion_matches_scipys_wilson_interval(hits: list[bool]) -> None:
    found = proportion(np.array(hits))
    expected = scipy.stats.binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    assert found.value == sum(hits) / len(hits)
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


def test_difference_of_normal_intervals_adds_errors_in_quadrature() -> None:
    a, b = with_error(5.0, 0.3, 10**6), with_error(3.0, 0.4, 10**6)
    found = difference(a, b)
    assert found.value == 2
    assert found.low == pytest.approx(2 - 1.96 * 0.5, abs=1e-3)
    assert found.high == pytest.approx(2 + 1.96 * 0.5, abs=1e-3)


def test_difference_keeps_the_skew_of_its_parts() -> None:
    a, b = Value(value=5, low=4, high=8), Value(value=1, low=1, high=1)
    found = difference(a, b)
    assert (found.low, found.value, found.high) == (3, 4, 7)
    turned = difference(b, a)
    assert (turned.low, turned.value, turned.high) == (-7, -4, -3)


def test_interval_of_a_difference_covers_it_as_often_as_it_says() -> None:
    """Means of skewed samples of unequal size and spread, 2,000 times."""
    generator = rng(5)
    covered = 0
    for _ in range(2000):
        x, y = generator.exponential(2, 40), generator.normal(1, 0.5, 25)
        parts = [with_error(float(z.mean()), float(scipy.stats.sem(z)), len(z) - 1) for z in (x, y)]
        found = difference(*parts)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1 <= found.high
    assert 0.92 < covered / 2000 < 0.97


def test_rows_differ_only_where_the_interval_excludes_zero() -> None:
    a = Value(value=5, low=4, high=6)
    assert differs(a, Value(value=7, low=6.5, high=7.5))
    assert not differs(a, Value(value=6, low=5, high=7))
    # Single intervals that overlap do not make a difference invisible.
    assert differs(a, Value(value=6.5, low=5.5, high=7.5))


def normal(value: float) -> Value:
    """Return a value with the standard error 1 and its normal interval."""
    found = with_interval(Value(value=value, std_error=1.0))
    assert found
    return found


@pytest.mark.parametrize("tests", [1, 2, 10])
def test_several_tests_share_the_chance_of_an_error(tests: int) -> None:
    gap = math.sqrt(2) * float(scipy.stats.norm.isf(0.025 / tests))
    assert differs(normal(0), normal(1.001 * gap), tests=tests)
    assert not differs(normal(0), normal(0.999 * gap), tests=tests)


def test_among_ten_equal_values_one_seems_to_differ_from_the_first_in_5_of_100_series() -> None:
    series = rng().normal(size=(500, 10))
    found = [any(differs(normal(a), normal(b), tests=9) for b in others) for a, *others in series]
    assert 0.02 < np.mean(found) <= 0.05


def test_values_without_interval_are_not_compared() -> None:
    with pytest.raises(BenchmarkError, match="without an interval"):
        differs(Value(value=1), Value(value=2, low=1, high=3))


def test_seeds_give_their_mean_and_students_interval() -> None:
    values = [Value(value=v, std_error=9, low=0, high=50) for v in (10.0, 12, 17)]
    found = across_seeds(values)
    low, high = scipy.stats.t.interval(0.95, 2, 13, scipy.stats.sem([10, 12, 17]))
    assert found.value == 13
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert across_seeds(values[:1]) == values[0]


def test_one_bad_batch_of_four_does_not_move_the_median() -> None:
    found = median_rate([0.065 * 16, 0.065 * 16, 0.065 * 16, 0.32 * 16], [16] * 4)
    assert found.value == pytest.approx(0.065)
    assert found.low == pytest.approx(0.065)
    assert found.high is not None
    assert found.high > 0.32  # how long a batch may take is not known well from four


@pytest.mark.parametrize("n", [6, 9, 20, 100])
def test_the_interval_of_a_median_is_that_of_scipy_s_ranks(n: int) -> None:
    ordered = np.sort(rng(8).lognormal(0, 0.3, size=n))
    series = np.empty(n)  # each large one follows a small one, so that all count
    series[::2], series[1::2] = ordered[: -(-n // 2)], ordered[-(-n // 2) :]
    found = median_rate(series.tolist(), [1.0] * n)
    assert found.value == pytest.approx(np.median(series))
    exact = scipy.stats.quantile_test(series, q=np.median(series), p=0.5).confidence_interval(0.95)
    assert found.low is not None
    assert found.high is not None
    ranks = np.searchsorted(ordered, [found.low, found.high])
    known = np.searchsorted(ordered, [exact.low, exact.high])
    assert np.abs(ranks - known).max() <= 2  # scipy takes whole ranks, not always even ones


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 20])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_the_interval_of_a_median_covers_it_as_often_as_it_says(n: int, shape: str) -> None:
    hits = 0
    for seed in range(1000):
        noise = rng(seed).normal(size=n)
        series = 1 + 0.05 * noise if shape == "normal" else np.exp(0.5 * noise)
        found = median_rate((16 * series).tolist(), [16] * n)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1 <= found.high
    assert hits / 1000 > (0.88 if n == 3 else 0.92)


@pytest.mark.parametrize(("correlation", "least"), [(0.0, 0.93), (0.5, 0.88), (0.8, 0.78)])
def test_laps_that_resemble_those_before_them_count_as_fewer(
    correlation: float, least: float
) -> None:
    hits, naive = 0, 0
    for seed in range(1000):
        noise = rng(seed).normal(0, 1, size=20)
        for i in range(1, 20):  # an AR(1) process
            noise[i] = correlation * noise[i - 1] + math.sqrt(1 - correlation**2) * noise[i]
        found = median_rate((10 + noise).tolist(), [1] * 20)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 10 <= found.high
        low, high = np.sort(10 + noise)[[5, 14]]  # which enclose it in 95.9 % where all count
        naive += low <= 10 <= high
    assert hits / 1000 > least
    assert hits / 1000 > naive / 1000 + correlation / 8 - 0.03


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=40),
    st.floats(1e-3, 1e3),
)
def test_a_median_and_its_interval_have_the_unit_of_the_series(
    series: list[float], scale: float
) -> None:
    found = median_rate(series, [1.0] * len(series))
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high
    scaled = median_rate([scale * x for x in series], [1.0] * len(series))
    assert scaled.value == pytest.approx(scale * found.value)


def test_the_time_of_one_lap_has_no_interval() -> None:
    assert median_rate([8.0], [16]) == Value(value=0.5)
    same = median_rate([8.0, 2.0], [16, 4])
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)


def test_the_inverse_of_an_interval_has_its_ends_turned_around() -> None:
    assert inverse(Value(value=4.0, low=2.0, high=8.0)) == Value(value=0.25, low=0.125, high=0.5)
    assert inverse(Value(value=4.0)) == Value(value=0.25)


def test_an_interval_is_kept_or_follows_from_the_error() -> None:
    skewed = Value(value=3.0, std_error=1.0, low=2.5, high=9.0)
    assert with_interval(skewed) == skewed
    found = with_interval(Value(value=3.0, std_error=2.0))
    assert found is not None
    expected = scipy.stats.norm.interval(0.95, 3, 2)
    assert (found.low, found.high) == pytest.approx(expected)
    assert with_interval(Value(value=3.0)) is None


def test_the_interval_of_a_ratio_is_that_of_the_difference_of_logarithms() -> None:
    a, b = Value(value=8.0, low=4.0, high=16.0), Value(value=2.0, low=1.0, high=4.0)
    found = quotient(a, b)
    assert found.value == pytest.approx(4)
    factor = 2 ** math.sqrt(2)  # each side is known to a factor of 2
    assert found.low == pytest.approx(4 / factor)
    assert found.high == pytest.approx(4 * factor)


def test_the_interval_of_a_ratio_covers_the_true_one() -> None:
    draws = rng()
    covered = 0
    for _ in range(2000):
        a, b = draws.normal(100, 8), draws.normal(80, 6)
        found = quotient(
            Value(value=a, low=a - 1.96 * 8, high=a + 1.96 * 8),
            Value(value=b, low=b - 1.96 * 6, high=b + 1.96 * 6),
        )
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1.25 <= found.high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_ratio_of_what_may_be_zero_is_refused(low: float) -> None:
    sure = Value(value=1.0, low=0.9, high=1.1)
    with pytest.raises(BenchmarkError, match="reaches zero"):
        quotient(sure, Value(value=1.0, low=low, high=2.0))


def test_the_paired_interval_holds_in_19_of_20_cases_and_finds_more() -> None:
    """Two methods answer the same 20 questions, whose difficulty moves both alike."""
    draws, cases, gap = rng(), 1500, 0.5
    difficulty = draws.normal(0, 3, (cases, 20))
    a = difficulty + draws.normal(0, 0.5, (cases, 20)) + gap
    b = difficulty + draws.normal(0, 0.5, (cases, 20))
    found = [paired_difference(*pair) for pair in zip(a, b, strict=True)]
    holds = np.mean([value.low <= gap <= value.high for value in found])  # type: ignore[operator]
    assert abs(holds - 0.95) < 3 * (0.95 * 0.05 / cases) ** 0.5
    assert np.mean([excludes_zero(value) for value in found]) > 0.8

    def alone(values: NDArray[np.float64]) -> Value:
        return with_error(values.mean(), values.std(ddof=1) / 20**0.5, 19)

    assert np.mean([differs(alone(x), alone(y)) for x, y in zip(a, b, strict=True)]) < 0.01


def test_a_paired_difference_is_that_of_student() -> None:
    a, b = np.array([1.0, 4.0, 2.0, 8.0]), np.array([0.5, 3.0, 2.5, 6.0])
    theirs = scipy.stats.ttest_rel(a, b).confidence_interval()
    found = paired_difference(a, b)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert not excludes_zero(found)
    with pytest.raises(BenchmarkError, match="without an interval"):
        excludes_zero(Value(value=1.0))
