"""The distance by a Gaussian kernel: the definition, a closed form, the interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from benchmark.core.errors import BenchmarkError
from benchmark.metrics import kernel_sums
from benchmark.metrics.gaussian_kernel import GaussianKernel

Array = NDArray[np.float64]


def normal(n: int, d: int, seed: int, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def defined(x: Array, y: Array, sigma: float) -> float:
    """The squared MMD by its definition, each image with itself too."""
    means = [
        np.exp(-cdist(a, b, "sqeuclidean") / (2 * sigma**2)).mean()
        for a, b in ((x, x), (y, y), (x, y))
    ]
    return float(1000 * (means[0] + means[1] - 2 * means[2]))


@given(st.integers(3, 30), st.integers(3, 30), st.integers(1, 5), st.floats(0.3, 20))
def test_it_is_the_definition(n: int, m: int, d: int, sigma: float) -> None:
    x, y = normal(n, d, n), normal(m, d, m + 100, 0.5)
    found = GaussianKernel(sigma=sigma).compute(x, y)
    assert found.value == pytest.approx(defined(x, y, sigma), rel=1e-9, abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(23, 3, 0), normal(17, 3, 1)
    whole = GaussianKernel(sigma=1).compute(x, y)
    monkeypatch.setattr(kernel_sums, "KERNEL_BLOCK", 4)
    blocks = GaussianKernel(sigma=1).compute(x, y)
    assert blocks.value == pytest.approx(whole.value, rel=1e-12)
    assert blocks.std_error == pytest.approx(whole.std_error, rel=1e-9)


def test_of_two_normals_it_is_the_closed_form() -> None:
    """E k of two normals of deviation 1, s apart in d dimensions, is in closed form."""
    d, sigma, shift, n = 3, 1.5, 0.7, 4000

    def mean(apart: float) -> float:
        width = sigma**2 + 2
        return float((sigma**2 / width) ** (d / 2) * np.exp(-d * apart**2 / (2 * width)))

    expected = 2000 * (mean(0) - mean(shift))
    bias = 1000 * (1 - mean(0)) * 2 / n
    found = GaussianKernel(sigma=sigma).compute(normal(n, d, 0), normal(n, d, 1, shift))
    assert found.std_error is not None
    assert found.value - bias == pytest.approx(expected, abs=4 * found.std_error)
    assert found.std_error < 0.1 * expected


def test_a_set_and_itself_are_0_apart() -> None:
    x = normal(50, 4, 0)
    assert GaussianKernel().compute(x, x).value == pytest.approx(0, abs=1e-9)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="2 images are too few"):
        GaussianKernel().compute(normal(2, 3, 0), normal(5, 3, 1))
