"""The number of modes by Rényi's kernel entropy: closed forms, eigenvalues, interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.renyi import RenyiEntropy

REAL = np.random.default_rng(0).normal(size=(50, 3))


def normal(n: int, d: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, d))


def groups(*sizes: int) -> NDArray[np.float64]:
    """Return images in groups of equal ones, so far apart that they do not see each other."""
    return np.repeat(1000.0 * np.eye(len(sizes)), sizes, axis=0)


@pytest.mark.parametrize("sizes", [(10,), (5, 5), (7, 7, 7, 7), (3, 9, 1)])
def test_groups_far_apart_count_as_often_as_their_shares_say(sizes: tuple[int, ...]) -> None:
    shares = np.array(sizes) / sum(sizes)
    found = RenyiEntropy(sigma=1.0).compute(groups(*sizes), normal(5, len(sizes), 0))
    assert found.value == pytest.approx(1 / (shares**2).sum(), rel=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert 1 <= found.low <= found.value <= found.high <= sum(sizes)


@pytest.mark.parametrize(("n", "d"), [(40, 3), (1500, 8)])
def test_it_is_the_inverse_sum_of_squared_eigenvalues(n: int, d: int) -> None:
    x = normal(n, d, 1)
    kernel = np.exp(-cdist(x, x, "sqeuclidean") / (2 * 0.8**2))
    eigenvalues = np.linalg.eigvalsh(kernel / n)
    found = RenyiEntropy(sigma=0.8).compute(x, normal(9, d, 2)).value
    assert found == pytest.approx(1 / (eigenvalues**2).sum(), rel=1e-10)


def test_the_width_is_half_the_median_distance_of_real_images() -> None:
    x = normal(30, 3, 3)
    distances = cdist(REAL, REAL)[np.triu_indices(len(REAL), 1)]
    stated = RenyiEntropy(sigma=float(np.median(distances)) / 2).compute(x, REAL)
    assert RenyiEntropy().compute(x, REAL).value == pytest.approx(stated.value, rel=1e-12)


def test_the_error_is_the_jackknifes() -> None:
    x, metric = normal(25, 3, 4), RenyiEntropy(sigma=1.0)
    found = metric.compute(x, REAL)
    left_out = [np.log(metric.compute(np.delete(x, i, 0), REAL).value) for i in range(len(x))]
    error = np.sqrt((len(x) - 1) * np.var(left_out))
    assert found.std_error == pytest.approx(found.value * error, rel=1e-10)


@given(st.integers(3, 40), st.integers(1, 5), st.floats(0.01, 100), st.integers(0, 99))
def test_it_lies_between_1_and_n_and_shrinks_as_the_kernel_widens(
    n: int, d: int, sigma: float, seed: int
) -> None:
    x = normal(n, d, seed)
    real = normal(9, d, seed + 1)
    found, wider = (RenyiEntropy(sigma=s).compute(x, real) for s in (sigma, 2 * sigma))
    assert 1 - 1e-9 <= wider.value <= found.value + 1e-9 <= n + 1e-6


def test_images_that_repeat_count_once() -> None:
    x = normal(12, 3, 5)
    once = RenyiEntropy(sigma=0.5).compute(x, REAL).value
    twice = RenyiEntropy(sigma=0.5).compute(np.concatenate([x, x]), REAL).value
    assert once == pytest.approx(twice, rel=1e-12)


def test_fewer_samples_seem_to_have_fewer_modes() -> None:
    """In expectation 1/RKE is 1/N + (1 - 1/N) E k², each image being one pair with itself."""
    metric, d = RenyiEntropy(sigma=0.7), 3
    squared = (0.7**2 / (0.7**2 + 4)) ** (d / 2)  # E k² of two normals of deviation 1
    for n in (20, 80):
        inverse = [1 / metric.compute(normal(n, d, seed), REAL).value for seed in range(200)]
        error = np.std(inverse) / np.sqrt(len(inverse))
        assert np.mean(inverse) == pytest.approx(1 / n + (1 - 1 / n) * squared, abs=4 * error)
    assert 1 / (1 / 20 + (1 - 1 / 20) * squared) < 0.7 / squared


def test_real_images_without_distances_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="equal features, from which no sigma follows"):
        RenyiEntropy().compute(normal(5, 3, 6), np.ones((20, 3)))
