import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.metrics import neighbours
from benchmark.metrics.neighbours import nearest

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
    monkeypatch.setattr(neighbours, "QUERY_BLOCK", 5)
    monkeypatch.setattr(neighbours, "BANK_PART", 7)  # fewer than the candidates that are kept
    for a, b in zip(nearest(query, bank, 4), whole, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("part", [3, 20, 1000])
def test_only_the_rows_that_are_asked_for_are_searched(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BANK_PART", part)
    rng = np.random.default_rng(4)
    query, bank = rng.normal(size=(23, 5)), rng.normal(size=(90, 5))
    bank[50:60] = query[:10]  # none of these is asked for
    among = np.flatnonzero((rng.random(90) < 0.5) & ~((np.arange(90) >= 50) & (np.arange(90) < 60)))
    found = nearest(query, bank, 4, among)
    for a, b in zip(found, directly(query, bank[among], 4), strict=True):
        np.testing.assert_allclose(a, b)
    with pytest.raises(BenchmarkError, match="neighbours: 3 cannot be found among 2 images"):
        nearest(query, bank, 3, among[:2])


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
        "import sys, numpy as np; from benchmark.metrics.neighbours import nearest;"
        "nearest(np.zeros((2, 2)), np.zeros((3, 2)), 1); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def scattered(rng: np.random.Generator, n: int, d: int) -> Array:
    """Rows of all scales: clusters far from zero, far outliers, copies, and rows of few values."""
    rows = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-6, 3)
    cluster = rng.integers(0, 3, n)
    rows += (10.0 ** rng.integers(0, 10, (3, 1)) * rng.normal(size=(3, d)))[cluster]
    outliers = rng.random(n) < rng.choice([0, 0.1])
    rows[outliers] += 10.0 ** rng.integers(3, 13)
    copies = rng.random(n) < rng.choice([0, 0.3])
    rows[copies] = rows[rng.integers(0, n, int(copies.sum()))]
    return np.rint(rows) if rng.random() < 0.2 else rows


def directly(query: Array, bank: Array, k: int) -> tuple[Array, NDArray[np.int64]]:
    """The k nearest by sums of squared differences, equal ones in the order of the bank."""
    apart = query[:, None].astype(np.longdouble) - bank
    distances = np.sqrt(np.square(apart).sum(axis=2))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1).astype(np.float64), order


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 10**9), st.sampled_from([np.float32, np.float64]), st.data())
def test_nearest_is_exact_at_every_scale(
    seed: int, dtype: type[np.floating], data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    n, m, d = (data.draw(st.integers(1, most)) for most in (20, 300, 40))
    k = data.draw(st.integers(1, min(m, 12)))
    bank = scattered(rng, m, d).astype(dtype)
    chosen = bank[rng.integers(0, m, n)]
    step = rng.choice([0, 1e-9, 1e-3, 10]) * rng.normal(size=(n, d))
    query = np.where(rng.random((n, 1)) < 0.5, chosen, chosen + step).astype(dtype)
    with mock.patch.object(neighbours, "BANK_PART", data.draw(st.sampled_from([7, 60, 2**15]))):
        distances, indices = nearest(query, bank, k)
    expected, order = directly(query, bank, k)
    np.testing.assert_allclose(distances, expected, rtol=1e-13, atol=0)
    gaps = np.diff(directly(query, bank, m)[0], prepend=-np.inf, append=np.inf, axis=1)
    clear = np.minimum(gaps[:, :k], gaps[:, 1 : k + 1]) > 1e-12 * expected
    np.testing.assert_array_equal(indices[clear], order[clear])
    _, copy_of = np.unique(bank, axis=0, return_inverse=True)
    for row in indices:  # of equal rows the first ones
        for copy in np.unique(copy_of[row]):
            first = np.flatnonzero(copy_of == copy)[: np.count_nonzero(copy_of[row] == copy)]
            np.testing.assert_array_equal(row[copy_of[row] == copy], first)


@pytest.mark.parametrize("far", [1e3, 1e8, 1e12])
def test_a_copy_is_found_beside_rows_that_are_far_out(far: float) -> None:
    rng = np.random.default_rng(4)
    bank = rng.normal(size=(2000, 64)).astype(np.float32)
    bank[::200] = far
    distances, indices = nearest(bank[:600], bank, 3)
    copies = np.where(np.arange(600) % 200 == 0, 0, np.arange(600))
    np.testing.assert_array_equal(indices[:, 0], copies)
    np.testing.assert_array_equal(distances[:, 0], 0)


def test_a_copy_is_found_in_tight_clusters_far_from_zero() -> None:
    """Within a cluster float32 sees no distance at all, wherever both sides are moved to."""
    rng = np.random.default_rng(5)
    centres = 1e6 * rng.normal(size=(3, 32))
    bank = centres[rng.integers(0, 3, 900)] + 1e-3 * rng.normal(size=(900, 32))
    query = bank[:300] + 1e-6
    distances, indices = nearest(query, bank, 4)
    expected, order = directly(query, bank, 4)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(indices[:, 0], np.arange(300))
    np.testing.assert_allclose(distances, expected, rtol=1e-9)


def test_more_copies_than_candidates_come_in_the_order_of_the_bank() -> None:
    bank = np.random.default_rng(6).normal(size=(500, 16))
    bank[40:400:3] = bank[7]
    indices = nearest(bank[:10], bank, 5)[1]
    np.testing.assert_array_equal(indices[7], [7, 40, 43, 46, 49])


def test_ordinary_features_need_no_second_search(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    bank = np.maximum(0, rng.normal(size=(3000, 512))).astype(np.float32)
    monkeypatch.setattr(neighbours, "_among_all", None)
    nearest(bank[:200] + np.float32(0.1), bank, 5)
