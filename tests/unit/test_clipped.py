"""Clipped density and coverage: the definitions, the calibration, and what they are made for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.base import Metric
from benchmark.metrics.clipped_coverage import ClippedCoverage, expected
from benchmark.metrics.clipped_density import ClippedDensity
from benchmark.metrics.density import Density

Array = NDArray[np.float64]
BOTH: tuple[Metric, ...] = (ClippedDensity(), ClippedCoverage())


def normal(n: int, d: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d))


def radii(real: Array, k: int) -> Array:
    return np.sort(cdist(real, real), axis=1)[:, k]


def in_balls(x: Array, real: Array, reach: Array) -> NDArray[np.bool_]:
    """Whether each row of x lies in the closed ball of each real one."""
    inside: NDArray[np.bool_] = cdist(x, real) <= reach * (1 + 1e-9)
    return inside


@given(
    st.integers(7, 40),
    st.integers(2, 40),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(0, 999),
)
@example(18, 9, 1, 4, 3)  # where the median of squared radii is not the square of their median
def test_density_is_the_clipped_mean_over_that_of_the_real_images(
    m: int, n: int, d: int, k: int, seed: int
) -> None:
    real, fake = normal(m, d, seed), 1.5 * normal(n, d, seed + 1000)
    reach = radii(real, k)
    reach = np.minimum(reach, np.median(reach))
    own = in_balls(real, real, reach) & ~np.eye(m, dtype=bool)
    counted = [np.minimum(x.sum(axis=1) / k, 1) for x in (in_balls(fake, real, reach), own)]
    found = ClippedDensity(k=k).compute(fake, real)
    assert found.value == pytest.approx(min(1, counted[0].mean() / counted[1].mean()), abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(
    st.integers(7, 40),
    st.integers(4, 60),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(0, 999),
)
def test_coverage_is_the_share_of_samples_that_reaches_the_clipped_mean(
    m: int, n: int, d: int, k: int, seed: int
) -> None:
    real, fake = normal(m, d, seed), 1.5 * normal(n, d, seed + 1000)
    mean = np.minimum(in_balls(fake, real, radii(real, k)).sum(axis=0) / k, 1).mean()
    found = ClippedCoverage(k=k).compute(fake, real)
    curve = expected(n, m, k)
    assert np.all(np.diff(curve) > 0)
    assert np.interp(found.value, np.linspace(0, 1, n + 1), curve) == pytest.approx(
        min(mean, curve[-1]), abs=1e-12
    )
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("draw", [normal, lambda n, d, seed: np.exp(2 * normal(n, d, seed))])
def test_the_expected_mean_is_that_of_real_samples_of_any_distribution(
    draw: object, k: int
) -> None:
    assert callable(draw)
    m, n = 30, 50
    means = []
    for seed in range(400):
        real, fake = draw(m, 2, seed), draw(n, 2, seed + 10_000)
        means.append(np.minimum(in_balls(fake, real, radii(real, k)).sum(axis=0) / k, 1).mean())
    error = np.std(means) / np.sqrt(len(means))
    assert np.mean(means) == pytest.approx(expected(n, m, k)[-1], abs=4 * error)


@pytest.mark.parametrize("metric", BOTH, ids=lambda metric: metric.kind)
@pytest.mark.parametrize("good", [0.25, 0.5, 0.75, 1.0])
def test_the_value_is_the_share_of_good_samples(metric: Metric, good: float) -> None:
    real, fake = normal(1000, 5, 0), normal(1000, 5, 1)
    fake[: round((1 - good) * len(fake))] += 1000
    found = metric.compute(fake, real)
    assert found.value == pytest.approx(good, abs=0.04)


def test_outliers_among_real_images_do_not_make_noise_look_dense() -> None:
    real = normal(500, 5, 0)
    real[:10] *= 100  # whose balls reach far
    noise = 20 * normal(500, 5, 1)
    assert Density().compute(noise, real).value > 0.3
    assert ClippedDensity().compute(noise, real).value < 0.02


def test_a_dense_heap_does_not_make_up_for_bad_samples() -> None:
    real = normal(500, 5, 0)
    crowded = int(np.argmax(in_balls(real, real, radii(real, 5)).sum(axis=1)))
    heap = np.repeat(real[crowded : crowded + 1], 250, axis=0)
    fake = np.concatenate([heap + 0.01 * normal(250, 5, 1), 1000 + normal(250, 5, 2)])
    assert Density().compute(fake, real).value > 0.95
    assert ClippedDensity().compute(fake, real).value < 0.9
    assert ClippedCoverage().compute(fake, real).value < 0.1


@pytest.mark.parametrize("metric", BOTH, ids=lambda metric: metric.kind)
def test_the_real_images_themselves_reach_1_and_far_ones_0(metric: Metric) -> None:
    real = normal(200, 3, 0)
    one, none = (metric.compute(x, real) for x in (real.copy(), real + 1000))
    assert (one.value, one.high) == (1, 1)
    assert (none.value, none.low) == (0, 0)
    assert one.low is not None
    assert none.high is not None
    assert one.low < 1
    assert none.high > 0


@pytest.mark.parametrize("metric", BOTH, ids=lambda metric: metric.kind)
def test_images_that_stand_several_times_count_as_any(metric: Metric) -> None:
    real = np.repeat(normal(60, 3, 0), 6, axis=0)
    if isinstance(metric, ClippedDensity | ClippedCoverage):
        with pytest.raises(BenchmarkError, match="every image has 5 equal ones"):
            metric.compute(real, real)
        assert type(metric)(k=7).compute(real, real).value == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("metric", BOTH, ids=lambda metric: metric.kind)
def test_what_cannot_be_used_is_refused(metric: Metric) -> None:
    with pytest.raises(BenchmarkError, match="real"):
        metric.compute(normal(20, 3, 0), normal(5, 3, 1))
    with pytest.raises(BenchmarkError, match="dimension 3 and 2"):
        metric.compute(normal(20, 3, 0), normal(20, 2, 1))
