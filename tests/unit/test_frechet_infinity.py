import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.frechet import Frechet
from benchmark.metrics.frechet_infinity import FrechetInfinity, fit_intercept

D = 12


def features(seed: int, n: int, shift: float = 0.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, D)) + shift


def test_intercept_of_exact_line() -> None:
    x = np.array([0.1, 0.2, 0.4, 0.5])
    intercept, error = fit_intercept(x, 3 * x + 7)
    assert intercept == pytest.approx(7)
    assert error == pytest.approx(0, abs=1e-9)


def test_extrapolation_removes_most_of_the_bias() -> None:
    """The true distance of the two Gaussians is 12 · 0.2²; the real side is too large to matter."""
    real = features(0, 20_000)
    truth = D * 0.2**2
    finite, infinite = [], []
    for seed in range(40):
        fake = features(seed + 1, 100, shift=0.2)
        finite.append(Frechet(interval="none").compute(fake, real).value)
        infinite.append(FrechetInfinity(groups=2).compute(fake, real).value)
    bias, rest = np.mean(finite) - truth, np.mean(infinite) - truth
    assert bias > 0.3
    assert abs(rest) < 0.15 * bias


def test_error_covers_the_spread_of_repeated_samples() -> None:
    real = features(0, 5000)
    found = [
        FrechetInfinity().compute(features(seed + 1, 120, shift=0.3), real) for seed in range(80)
    ]
    spread = np.std([f.value for f in found], ddof=1)
    stated = np.sqrt(np.mean([f.std_error**2 for f in found if f.std_error]))
    assert 0.7 * spread < stated < 1.6 * spread


def test_too_few_samples_for_the_dimension_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="25 images are too few for features of dimension 12"):
        FrechetInfinity().compute(features(0, 25), features(1, 100))
    FrechetInfinity().compute(features(0, 26), features(1, 100))


def test_two_points_are_no_line() -> None:
    with pytest.raises(ValidationError, match=r"points\n.*greater than or equal to 3"):
        FrechetInfinity(points=2)
