import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark import neighbours
from benchmark.errors import BenchmarkError
from benchmark.neighbours import nearest

Array = NDArray[np.float64]


def brute_force(query: Array, bank: Array, k: int) -> tuple[Array, NDArray[np.int64]]:
    """Every distance, in float64, sorted; equal distances in the order of the bank."""
    distances = np.array([[np.linalg.norm(q - b) for b in bank] for q in query])
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 60), st.integers(1, 12), st.data())
def test_nearest_matches_brute_force(
    seed: int, n: int, m: int, d: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    query, bank = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    k = data.draw(st.integers(1, m))
    distances, indices = nearest(query, bank, k)
    expected, order = brute_force(query, bank, k)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    np.testing.assert_array_equal(indices, order)


def test_distances_are_not_squared() -> None:
    bank = np.array([[0.0, 0.0], [30.0, 40.0]], np.float32)
    distances, indices = nearest(np.array([[3.0, 4.0]], np.float32), bank, 2)
    np.testing.assert_allclose(distances, [[5, 45]])
    np.testing.assert_array_equal(indices, [[0, 1]])


@pytest.mark.parametrize("k", [1, 3])
def test_near_copies_far_from_the_origin_are_told_apart(k: int) -> None:
    """Their squared distances differ by 2 %, which float32 does not see in |x|² + |y|² − 2x·y."""
    query = 1e4 + np.random.default_rng(0).normal(size=(150, 1024))
    copies = np.concatenate([query + scale for scale in (1.02e-3, 1e-3, 1.01e-3)])
    distances, indices = nearest(query, copies, k)
    expected, order = brute_force(query, copies, k)
    np.testing.assert_allclose(distances, expected, rtol=1e-7)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(indices[:, 0], 150 + np.arange(150))


def test_exact_copies_have_distance_zero() -> None:
    bank = 100 * np.random.default_rng(1).normal(size=(50, 64)).astype(np.float32)
    distances, indices = nearest(bank[10:40], bank, 1)
    np.testing.assert_array_equal(distances, 0)
    np.testing.assert_array_equal(indices[:, 0], np.arange(10, 40))


def test_equal_distances_come_in_the_order_of_the_bank() -> None:
    """Whole numbers make ties that are exact in float64, but not after centring in float32."""
    rng = np.random.default_rng(3)
    query, bank = rng.integers(0, 3, (200, 6)) * 1.0, rng.integers(0, 3, (12, 6)) * 1.0
    np.testing.assert_array_equal(nearest(query, bank, 4)[1], brute_force(query, bank, 4)[1])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    query, bank = rng.normal(size=(23, 5)), rng.normal(size=(40, 5))
    whole = nearest(query, bank, 4)
    monkeypatch.setattr(neighbours, "BLOCK", 5)
    for a, b in zip(nearest(query, bank, 4), whole, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("k", [0, 4])
def test_more_neighbours_than_images_is_refused(k: int) -> None:
    with pytest.raises(BenchmarkError, match=f"neighbours: {k} cannot be found among 3 images"):
        nearest(np.zeros((2, 2)), np.zeros((3, 2)), k)


def test_other_dimension_and_nan_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="dimension 2 and 3"):
        nearest(np.zeros((2, 2)), np.zeros((3, 3)), 1)
    with pytest.raises(BenchmarkError, match="real: the features of image 0 hold NaN"):
        nearest(np.zeros((2, 1)), np.full((3, 1), np.nan), 1)


def test_search_imports_no_torch() -> None:
    code = (
        "import sys, numpy as np; from benchmark.neighbours import nearest;"
        "nearest(np.zeros((2, 2)), np.zeros((3, 2)), 1); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
