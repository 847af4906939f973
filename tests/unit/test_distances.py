import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics import distances
from benchmark.metrics.distances import column_medians, rounding, squared_distances


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 10**9),
    st.floats(-12, 12),
    st.floats(-12, 12),
    st.integers(1, 64),
    st.booleans(),
)
def test_every_distance_is_right_but_for_a_small_share_of_itself(
    seed: int, spread: float, offset: float, d: int, alike: bool
) -> None:
    """Rows of any scale, far from zero or not, some of them copies of each other."""
    rng = np.random.default_rng(seed)
    x = 10.0**offset + 10.0**spread * rng.normal(size=(23, d))
    y = 10.0 ** rng.integers(-9, 9, (17, 1)) * rng.normal(size=(17, d))
    y[::3] = x[:6] if alike else x[:6] + 1e-3 * rng.normal(size=(6, d))
    found = squared_distances(x, y, column_medians(y))
    expected = np.square(x[:, None].astype(np.longdouble) - y).sum(axis=2)
    assert (np.abs(found - expected) <= rounding(d) * expected).all()


def test_few_lost_distances_are_computed_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(40, 6))
    y = x + 1e-9
    monkeypatch.setattr(distances, "PAIRS", 30)
    np.testing.assert_allclose(
        np.diagonal(squared_distances(x, y, column_medians(y))), 6e-18, rtol=1e-5
    )


def test_the_middle_stays_among_the_rows_where_a_few_lie_far_out() -> None:
    x = np.random.default_rng(1).normal(size=(5000, 3))
    x[::50] = 1e9
    assert np.abs(column_medians(x)).max() < 0.5
