import functools
import operator

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.metrics import frechet as module
from benchmark.metrics.frechet import (
    Frechet,
    GaussianStats,
    Moments,
    SubsetDistance,
    frechet_distance,
    statistics,
)

Array = NDArray[np.float64]


def features(seed: int, n: int, d: int, shift: float = 0.0) -> Array:
    """Correlated Gaussian features whose variances span two decades."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d)) * np.logspace(0, -1, d)
    return rng.normal(size=(n, d)) @ mixing + shift


def textbook(a: Array, b: Array) -> float:
    """The distance as the papers write it, by scipy's matrix square root."""
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    mean = a.mean(axis=0) - b.mean(axis=0)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    return float(mean @ mean + np.trace(c1) + np.trace(c2) - 2 * np.trace(root))


def distance(a: Array, b: Array) -> float:
    return frechet_distance(statistics(a), statistics(b))


def test_diagonal_gaussians_match_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    s1, s2 = rng.uniform(0.1, 3, size=(2, 40))
    m1, m2 = rng.normal(size=(2, 40))
    a = GaussianStats.from_moments(m1, np.diag(s1**2))
    b = GaussianStats.from_moments(m2, np.diag(s2**2))
    expected = np.sum((m1 - m2) ** 2) + np.sum((s1 - s2) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_statistics_are_mean_and_unbiased_covariance() -> None:
    for n in (5, 12, 200):
        x = features(1, n, 12, shift=3)
        stats = statistics(x)
        np.testing.assert_allclose(stats.mean, x.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(stats.covariance, np.cov(x, rowvar=False), atol=1e-12)
        assert stats.factor.shape[0] <= 12


@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    shift=st.sampled_from([0.0, 1.0, 1e3]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_moments_of_any_parts_add_up_to_those_of_numpy(
    seed: int, cuts: list[int], shift: float, dtype: type
) -> None:
    x = features(seed, sum(cuts) + 1, 5, shift).astype(dtype)
    parts = np.split(x, np.cumsum(cuts))
    assert sum(map(len, parts)) == len(x)
    found = functools.reduce(operator.add, map(Moments.of, parts))
    exact = x.astype(np.float64)
    expected = np.atleast_2d(np.cov(exact, rowvar=False, bias=True)) * len(x)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert found.count == len(x)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-12, atol=1e-12)
    # subtracting a mean that is large beside the spread loses digits, in numpy too
    assert np.abs(found.scatter - expected).max() <= 1e-12 * (scale.max() + shift)


@pytest.mark.parametrize("rank", [6, 3])
def test_statistics_of_many_blocks_are_those_of_one(
    monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    x = features(0, 500, rank, shift=3) @ features(1, rank, 6)  # below 6 the covariance is singular
    one = statistics(x)
    monkeypatch.setattr("benchmark.metrics.base.BLOCK", 7)
    many = statistics(x)
    np.testing.assert_allclose(many.mean, one.mean, rtol=1e-12)
    size = np.abs(one.covariance).max()
    np.testing.assert_allclose(many.covariance, one.covariance, atol=1e-12 * size)
    np.testing.assert_allclose(many.covariance, np.cov(x, rowvar=False), atol=1e-12 * size)
    assert frechet_distance(one, many) < 1e-9 * size


def test_from_moments_keeps_the_covariance() -> None:
    covariance = np.cov(features(2, 8, 12), rowvar=False)  # singular
    stats = GaussianStats.from_moments(np.zeros(12), covariance)
    np.testing.assert_allclose(stats.covariance, covariance, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_well_conditioned_matches_scipy_sqrtm(seed: int) -> None:
    a, b = features(seed, 600, 48), features(seed + 10, 500, 48, shift=0.1)
    assert distance(a, b) == pytest.approx(textbook(a, b), rel=1e-8)


@pytest.mark.parametrize(("n1", "n2"), [(100, 90), (12, 10), (12, 200), (200, 12), (2, 2)])
def test_matches_pytorch_fid_on_the_same_features(n1: int, n2: int) -> None:
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    a, b = features(3, n1, 40), features(4, n2, 40, shift=0.2)
    moments = [m for x in (a, b) for m in (x.mean(axis=0), np.cov(x, rowvar=False))]
    expected = fid_score.calculate_frechet_distance(*moments)
    # Below 40 images its square root of a singular matrix keeps about half of the digits.
    tolerance = 1e-8 if min(n1, n2) > 40 else 1e-4
    assert distance(a, b) == pytest.approx(expected, rel=tolerance)


def test_rank_deficient_features_match_their_closed_form() -> None:
    """Points on one line in 30 dimensions have the distance of the one-dimensional Gaussians."""
    rng = np.random.default_rng(5)
    line = np.linalg.qr(rng.normal(size=(30, 1)))[0].T
    x, y = rng.normal(size=(50, 1)), 2 * rng.normal(size=(60, 1)) + 1
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert distance(x @ line, y @ line) == pytest.approx(expected, rel=1e-10)


def test_orthogonal_supports_add_their_variances() -> None:
    x, y = np.zeros((20, 8)), np.zeros((30, 8))
    x[:, :3] = features(6, 20, 3)
    y[:, 4:] = features(7, 30, 4)
    expected = x.var(axis=0, ddof=1).sum() + y.var(axis=0, ddof=1).sum()
    expected += np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)
    assert distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_constant_features_leave_the_distance_of_the_means() -> None:
    a, b = np.full((5, 7), 2.0), np.full((9, 7), 5.0)
    assert distance(a, b) == pytest.approx(63.0)


def test_float32_features_are_computed_in_float64() -> None:
    a, b = (1000 + features(seed, 300, 16) for seed in (8, 9))
    a32, b32 = a.astype(np.float32), b.astype(np.float32)
    expected = distance(a32.astype(np.float64), b32.astype(np.float64))
    assert Frechet().compute(a32, b32).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(30, 50), (50, 50), (80, 20)])
def test_subsets_have_the_distance_of_their_rows(n: int, d: int) -> None:
    """With fewer rows than dimensions and with more; rows may be left out or given twice."""
    x, reference = features(10, n, d, shift=0.3), statistics(features(11, 200, d))
    subset = SubsetDistance(x, reference)
    rng = np.random.default_rng(0)
    for rows in (np.arange(n), np.arange(3, n), rng.integers(0, n, n), np.array([1, 4])):
        expected = frechet_distance(statistics(x[rows]), reference)
        assert subset(rows) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(40, 80), (60, 8)])
def test_jackknife_error_covers_the_spread_of_repeated_samples(n: int, d: int) -> None:
    real = features(12, 400, d)
    mixing = np.random.default_rng(13).normal(size=(d, d)) * np.logspace(0, -1, d)
    found = []
    for seed in range(100):
        fake = np.random.default_rng(seed).normal(size=(n, d)) @ mixing
        found.append(Frechet().compute(fake, real))
    values = [f.value for f in found]
    stated = np.sqrt(np.mean([f.std_error**2 for f in found if f.std_error]))
    assert 0.8 < stated / np.std(values) < 1.5
    covered = [f.low <= np.mean(values) <= f.high for f in found if f.low and f.high]
    assert np.mean(covered) > 0.88


def test_jackknife_leaves_out_each_image_when_there_are_few() -> None:
    fake, real = features(14, 12, 30), features(15, 40, 30)
    left_out = [distance(np.delete(fake, i, axis=0), real) for i in range(12)]
    expected = np.sqrt(11 * np.var(left_out))
    found = Frechet().compute(fake, real)
    assert found.std_error == pytest.approx(expected, rel=1e-5)
    assert found.value == distance(fake, real)


def test_bootstrap_interval_stands_around_the_value_and_is_wider() -> None:
    fake, real = features(16, 40, 60), features(17, 300, 60)
    bootstrapped = Frechet(interval="bootstrap", replicates=300).compute(fake, real)
    jackknifed = Frechet().compute(fake, real)
    assert (
        bootstrapped.value == jackknifed.value == Frechet(interval="none").compute(fake, real).value
    )
    assert bootstrapped.low is not None
    assert bootstrapped.high is not None
    assert bootstrapped.low < bootstrapped.value < bootstrapped.high
    assert bootstrapped.std_error is not None
    assert jackknifed.std_error is not None
    assert bootstrapped.std_error > 1.2 * jackknifed.std_error


def test_interval_is_not_below_zero() -> None:
    x = features(18, 200, 4)
    assert Frechet().compute(x[:100], x).low == 0


sizes = st.integers(2, 30)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), sizes, sizes, st.integers(1, 20))
def test_distance_is_a_distance_under_rigid_motions(seed: int, n1: int, n2: int, d: int) -> None:
    """Symmetric, zero on itself, unchanged by rotation and translation, quadratic in scale."""
    a, b = features(seed, n1, d), features(seed + 1, n2, d, shift=0.5)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    expected = distance(a, b)
    scale = np.square(a).sum() + np.square(b).sum()
    assert expected >= 0
    assert distance(a, a) <= 1e-12 * scale
    for moved in (distance(b, a), distance(a @ rotation + 3, b @ rotation + 3)):
        assert moved == pytest.approx(expected, rel=2e-8, abs=1e-10 * scale)
    assert distance(3 * a, 3 * b) == pytest.approx(9 * expected, rel=2e-8, abs=1e-10 * scale)


@pytest.mark.parametrize(
    ("fake", "real", "message"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), "fake: 1 images are too few: at least 3"),
        (np.zeros((4, 3)), np.zeros((1, 3)), "real: 1 images are too few: at least 3"),
        (np.zeros((4, 3)), np.zeros((4, 5)), "dimension 3 and 5"),
        (np.zeros((4, 3)), np.zeros(4), "real: features must be N×d with d at least 1, not"),
        (np.array([[0.0], [1], [np.nan]]), np.zeros((4, 1)), "fake: the features of image 2 hold"),
        (np.array([[np.inf], [1.0], [2]]), np.zeros((4, 1)), "fake: the features of image 0 hold"),
    ],
)
def test_unusable_features_are_refused(fake: Array, real: Array, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        Frechet().compute(fake, real)


def test_statistics_of_other_dimension_are_refused() -> None:
    a, b = statistics(features(0, 9, 3)), statistics(features(0, 9, 4))
    with pytest.raises(BenchmarkError, match="statistics of dimension 3 and 4"):
        frechet_distance(a, b)


@pytest.mark.parametrize(("n1", "n2"), [(300, 200), (20, 200), (20, 25)])
def test_eigenvalues_and_singular_values_give_one_distance(
    n1: int, n2: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = features(20, n1, 40), features(21, n2, 40, shift=0.1)
    monkeypatch.setattr(module, "PRECISION", np.inf)
    fast = distance(a, b)
    monkeypatch.setattr(module, "PRECISION", 0)
    monkeypatch.setattr(module, "LEAST_PIVOT", np.inf)
    assert fast == pytest.approx(distance(a, b), rel=1e-6 if n1 == 20 else 1e-10)


@pytest.mark.parametrize("span", [1, 3, 6, 12])
def test_a_set_and_its_double_match_the_closed_form_however_ill_conditioned(span: int) -> None:
    """C and 4C have the root 2C, so that the mean's square and tr C are left."""
    rng = np.random.default_rng(22)
    rotation = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    x = rng.normal(size=(90, 30)) * np.logspace(0, -span, 30) @ rotation + 0.1
    expected = np.square(x.mean(axis=0)).sum() + x.var(axis=0, ddof=1).sum()
    assert distance(x, 2 * x) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n", "d"), [(8, 30), (90, 30)])
def test_identical_sets_have_distance_exactly_zero(n: int, d: int) -> None:
    x = features(23, n, d, shift=1)
    assert distance(x, x) == 0
    covariance = np.cov(x, rowvar=False)
    moments = GaussianStats.from_moments(x.mean(axis=0), covariance)
    assert frechet_distance(moments, moments) == 0


@pytest.mark.parametrize(("n", "d"), [(8, 30), (90, 30)])
def test_moments_have_the_distance_of_their_features(n: int, d: int) -> None:
    a, b = features(24, n, d), features(25, 50, d, shift=0.1)
    moments = [GaussianStats.from_moments(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (a, b)]
    assert moments[0].factor.shape == (min(n - 1, d), d)
    assert frechet_distance(*moments) == pytest.approx(distance(a, b), rel=1e-8)
    assert Frechet().compute(a, moments[1]).low == pytest.approx(
        Frechet().compute(a, b).low, rel=1e-6
    )


def test_a_small_distance_of_rank_deficient_sets_keeps_its_digits() -> None:
    """By eigenvalues alone the null space would add more than the distance itself."""
    x = features(26, 8, 30)
    expected = 1e-10 * (np.square(x.mean(axis=0)).sum() + x.var(axis=0, ddof=1).sum())
    assert distance(x, (1 + 1e-5) * x) == pytest.approx(expected, rel=1e-3)
