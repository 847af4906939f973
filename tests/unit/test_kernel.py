import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.metrics import kernel_sums as module
from benchmark.metrics.kernel import Kernel

Array = NDArray[np.float64]


def features(seed: int, n: int, d: int = 6, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def k(x: Array, y: Array) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def mmd(fake: Array, real: Array) -> float:
    """The unbiased estimator of Gretton et al. 2012, eq. 3, one pair of images at a time."""
    m, n = len(fake), len(real)
    within_fake = sum(k(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j)
    within_real = sum(k(real[i], real[j]) for i in range(n) for j in range(n) if i != j)
    between = sum(k(x, y) for x in fake for y in real)
    return within_fake / (m * (m - 1)) + within_real / (n * (n - 1)) - 2 * between / (m * n)


@pytest.mark.parametrize(("m", "n"), [(3, 3), (7, 11), (12, 5)])
def test_value_is_the_unbiased_mmd(m: int, n: int) -> None:
    fake, real = features(0, m), features(1, n, shift=0.5)
    assert Kernel().compute(fake, real).value == pytest.approx(mmd(fake, real), rel=1e-12)


def test_standard_error_is_the_delete_one_jackknife() -> None:
    fake, real = features(2, 7), features(3, 9, shift=0.3)
    left_fake = [mmd(np.delete(fake, i, axis=0), real) for i in range(7)]
    left_real = [mmd(fake, np.delete(real, i, axis=0)) for i in range(9)]
    expected = np.sqrt(6 * np.var(left_fake) + 8 * np.var(left_real))
    assert Kernel().compute(fake, real).std_error == pytest.approx(expected, rel=1e-10)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = features(4, 23), features(5, 17)
    whole = Kernel().compute(fake, real)
    monkeypatch.setattr(module, "KERNEL_BLOCK", 4)
    blocks = Kernel().compute(fake, real)
    assert blocks.value == pytest.approx(whole.value, rel=1e-12)
    assert blocks.std_error == pytest.approx(whole.std_error, rel=1e-10)


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_standard_error_covers_the_spread_of_repeated_draws(shift: float) -> None:
    """With equal distributions, where the first-order variance vanishes, it errs upwards."""
    found = [
        Kernel().compute(features(i, 40), features(10**6 + i, 60, shift=shift)) for i in range(400)
    ]
    spread = np.std([f.value for f in found], ddof=1)
    stated = np.sqrt(np.mean([f.std_error**2 for f in found if f.std_error is not None]))
    assert 0.9 * spread < stated < 1.7 * spread


def test_equal_distributions_average_to_zero() -> None:
    values = [Kernel().compute(features(i, 30), features(10**6 + i, 30)).value for i in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(400)


def test_subset_of_everything_is_the_whole() -> None:
    fake, real = features(6, 20), features(7, 20, shift=1)
    subsets = Kernel(subsets=3, subset_size=20).compute(fake, real)
    assert subsets.value == pytest.approx(mmd(fake, real), rel=1e-12)
    assert subsets.std_error == pytest.approx(0, abs=1e-12)


def test_subsets_estimate_the_same_number() -> None:
    fake, real = features(8, 300), features(9, 300, shift=0.5)
    whole = Kernel().compute(fake, real)
    subsets = Kernel(subsets=100, subset_size=100).compute(fake, real)
    assert subsets.std_error is not None
    assert subsets.value == pytest.approx(whole.value, abs=4 * subsets.std_error / 10)


def test_subsets_follow_from_the_seed() -> None:
    fake, real = features(10, 30), features(11, 30)
    first, again, other = (
        Kernel(subsets=4, subset_size=10, seed=seed).compute(fake, real) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(("subsets", "size"), [(5, 2), (-1, 10)])
def test_impossible_numbers_are_refused_whatever_the_sets(subsets: int, size: int) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to"):
        Kernel(subsets=subsets, subset_size=size)


@pytest.mark.parametrize(("subsets", "size"), [(5, 21), (1, 10)])
def test_impossible_subsets_are_refused(subsets: int, size: int) -> None:
    with pytest.raises(BenchmarkError, match=f"{subsets} subsets of {size} cannot be drawn from"):
        Kernel(subsets=subsets, subset_size=size).compute(features(0, 20), features(1, 30))


def test_two_images_are_too_few_for_a_standard_error() -> None:
    with pytest.raises(BenchmarkError, match="fake: 2 images are too few: at least 3"):
        Kernel().compute(features(0, 2), features(1, 5))


def test_subsets_are_those_of_torch_fidelity() -> None:
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    torch = pytest.importorskip("torch")
    fake, real = features(12, 60, d=20), features(13, 50, d=20, shift=0.3)
    expected = metric_kid.kid_features_to_metric(
        *(torch.from_numpy(x) for x in (fake, real)), kid_subset_size=30, verbose=False
    )
    found = Kernel(subsets=100, subset_size=30, seed=2020).compute(fake, real)
    assert found.value == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-10)
    assert found.std_error is not None
    spread = found.std_error * np.sqrt(99 / 100)  # they divide by the number of subsets
    assert spread == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-8)


def test_subsets_are_as_many_and_large_as_those_of_clean_fid() -> None:
    """It draws from the global generator, so that only means over draws compare."""
    kernel_distance = pytest.importorskip("cleanfid.fid").kernel_distance
    fake, real = features(14, 90, d=20), features(15, 70, d=20, shift=0.3)
    expected = [kernel_distance(real, fake) for _ in range(20)]
    found = [
        Kernel(subsets=100, subset_size=70, seed=i).compute(fake, real).value for i in range(20)
    ]
    error = np.hypot(np.std(found), np.std(expected)) / np.sqrt(20)
    assert abs(np.mean(found) - np.mean(expected)) < 4 * error
    whole = kernel_distance(real[:50], fake[:50])  # every subset is the whole
    assert Kernel(subsets=2, subset_size=50).compute(fake[:50], real[:50]).value == pytest.approx(
        whole
    )
