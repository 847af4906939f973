import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.metrics import monge as module
from benchmark.metrics.monge import Coupling, Monge

Array = NDArray[np.float64]


def features(seed: int, n: int, d: int = 6, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def monge(fake: Array, real: Array, directions: Array) -> float:
    """The definition, with each set repeated until both have as many points."""
    n, m = len(fake), len(real)
    costs = []
    for u in directions:
        x, y = np.sort(np.repeat(fake @ u, m)), np.sort(np.repeat(real @ u, n))
        costs.append(np.square(x - y).mean())
    return float(3 * fake.shape[1] * np.mean(costs))


def directions_of(metric: Monge, n: int, d: int) -> Array:
    rng = np.random.default_rng(metric.seed)
    rng.permutation(n)  # deals the samples to the groups
    return np.concatenate(list(module._directions(metric.projections, d, rng)))


@pytest.mark.parametrize(("n", "m"), [(2, 2), (9, 9), (7, 12), (12, 8)])
def test_value_and_error_are_those_of_the_definition(n: int, m: int) -> None:
    fake, real = features(0, n), features(1, m, shift=0.4)
    metric = Monge(projections=70)
    directions = directions_of(metric, n, 6)
    found = metric.compute(fake, real)
    assert found.value == pytest.approx(monge(fake, real, directions), rel=1e-12)
    left_out = [monge(np.delete(fake, i, axis=0), real, directions) for i in range(n)]
    assert found.std_error == pytest.approx(np.sqrt((n - 1) * np.var(left_out)), rel=1e-10)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_along_one_axis_it_is_the_distance_of_python_optimal_transport(size: int) -> None:
    ot = pytest.importorskip("ot")
    x, y = features(2, 8, d=1), features(3, 8 * size, d=1, shift=1.0)
    expected = 3 * ot.wasserstein_1d(x[:, 0], y[:, 0], p=2)
    assert Monge(projections=5).compute(x, y).value == pytest.approx(expected, rel=1e-12)


def test_a_set_and_the_same_one_moved() -> None:
    """Each direction sees (u·δ)², whose mean over the sphere is |δ|²/d."""
    fake = features(4, 30, d=4)
    delta = np.array([1.0, -2.0, 0.5, 0.0])
    found = Monge(projections=4000).compute(fake, fake + delta)
    assert found.value == pytest.approx(3 * delta @ delta, rel=0.05)
    assert Monge(projections=10).compute(fake, fake).value == 0


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_coupling_moves_all_mass_of_both_sides(n: int, m: int) -> None:
    coupling = Coupling.of(n, m)
    given_away = np.bincount(coupling.source, coupling.mass, n)
    received = np.bincount(coupling.target, coupling.mass, m)
    np.testing.assert_allclose(given_away, 1 / n, rtol=1e-12)
    np.testing.assert_allclose(received, 1 / m, rtol=1e-12)


def test_torch_fidelitys_formula_on_sets_of_one_size() -> None:
    """Sorted projections, squared differences, their mean over points and directions, 3d times."""
    fake, real = features(5, 40, d=9), features(6, 40, d=9, shift=0.2)
    metric = Monge(projections=33)
    u = directions_of(metric, 40, 9)
    ours = metric.compute(fake, real).value
    difference = np.sort(fake @ u.T, axis=0) - np.sort(real @ u.T, axis=0)
    assert ours == pytest.approx(27 * np.square(difference).mean(), rel=1e-12)


def test_error_covers_the_spread_of_repeated_draws() -> None:
    real = features(10**6, 400, shift=0.5)
    found = [Monge(projections=50).compute(features(i, 60), real) for i in range(120)]
    spread = np.std([f.value for f in found], ddof=1)
    stated = np.sqrt(np.mean([f.std_error**2 for f in found if f.std_error is not None]))
    assert 0.85 * spread < stated < 1.5 * spread


def test_its_bias_is_upwards_and_about_in_proportion_to_1_over_n() -> None:
    """As docs/metrics.md says: of N and 4N samples of the distribution of the real images."""
    real = features(10**6, 2000)
    found = [
        np.mean([Monge(projections=20).compute(features(i, n), real).value for i in range(30)])
        for n in (20, 80)
    ]
    assert 2.5 < found[0] / found[1] < 5


def test_unusable_features_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="fake: 1 images are too few: at least 2"):
        Monge().compute(features(0, 1), features(1, 5))
