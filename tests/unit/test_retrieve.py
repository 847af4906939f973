import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark import retrieve
from benchmark.errors import BenchmarkError
from benchmark.retrieve import nearest, panel

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


def test_near_copies_far_from_the_origin_are_told_apart() -> None:
    """In float32, |x|² + |y|² − 2x·y cannot tell these apart: it is 10¹¹ with an error of 10⁴."""
    rng = np.random.default_rng(0)
    query = 1e4 + rng.normal(size=(30, 1024))
    copies = np.concatenate([query + scale for scale in (3e-3, 1e-3, 2e-3)])
    distances, indices = nearest(query, copies, 3)
    expected, order = brute_force(query, copies, 3)
    np.testing.assert_allclose(distances, expected, rtol=1e-9)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(indices[:, 0], 30 + np.arange(30))


def test_exact_copies_have_distance_zero() -> None:
    bank = 100 * np.random.default_rng(1).normal(size=(50, 64)).astype(np.float32)
    distances, indices = nearest(bank[10:40], bank, 1)
    np.testing.assert_array_equal(distances, 0)
    np.testing.assert_array_equal(indices[:, 0], np.arange(10, 40))


def test_equal_distances_come_in_the_order_of_the_bank() -> None:
    bank = np.zeros((6, 3), np.float32)
    np.testing.assert_array_equal(nearest(bank[:2] + 1, bank, 6)[1], [range(6)] * 2)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    query, bank = rng.normal(size=(23, 5)), rng.normal(size=(40, 5))
    whole = nearest(query, bank, 4)
    monkeypatch.setattr(retrieve, "BLOCK", 5)
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


def test_retrieval_imports_no_torch() -> None:
    code = (
        "import sys, numpy as np; from benchmark.retrieve import nearest;"
        "nearest(np.zeros((2, 2)), np.zeros((3, 2)), 1); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_panel_shows_the_most_suspicious_first(tmp_path: Path) -> None:
    """Each image is one colour, so the picture's pixels say which image stands where."""
    queries = np.full((3, 8, 8, 3), 0, np.uint8)
    queries[:, :, :, 0] = np.array([10, 20, 30])[:, None, None]
    bank = np.full((4, 8, 8, 3), 0, np.uint8)
    bank[:, :, :, 1] = np.array([100, 110, 120, 130])[:, None, None]
    distances = np.array([[3.0, 4.0], [1.0, 9.0], [2.0, 2.5]])
    indices = np.array([[0, 1], [2, 3], [1, 0]])
    path = tmp_path / "panel.png"
    panel(queries, bank, distances, indices, path, title="Nearest", rows=2)
    pixels = np.asarray(Image.open(path))
    colours = pixels.reshape(-1, 3)
    shown = {int(red) for red, green, blue in np.unique(colours, axis=0) if green == blue == 0}
    assert shown & {10, 20, 30} == {20, 30}

    def corner(red: int, green: int) -> tuple[int, int]:
        """Top and left of the first tile of this colour."""
        y, x = np.nonzero((pixels == (red, green, 0)).all(axis=2))
        return int(y.min()), int(x[y == y.min()].min())

    (first_y, sample_x), (second_y, _) = corner(20, 0), corner(30, 0)
    assert first_y < second_y
    assert corner(0, 120)[0] == corner(0, 130)[0] == first_y
    assert sample_x < corner(0, 120)[1] < corner(0, 130)[1]
