import numpy as np
import pytest
import scipy.special
import scipy.stats

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.inception_score import inception_score, spread_over_splits


def logits(seed: int, n: int = 200, classes: int = 12) -> np.ndarray:
    return 3 * np.random.default_rng(seed).normal(size=(n, classes))


def by_definition(x: np.ndarray) -> float:
    p = scipy.special.softmax(x, axis=1)
    return float(np.exp(np.mean([scipy.stats.entropy(row, p.mean(axis=0)) for row in p])))


def test_score_is_the_exponential_of_the_mean_divergence() -> None:
    x = logits(0)
    assert inception_score(x, splits=1).value == pytest.approx(by_definition(x), rel=1e-12)


def test_splits_take_the_mean_over_runs_of_images() -> None:
    x = logits(1)
    scores = [by_definition(part) for part in np.array_split(x, 10)]
    found = inception_score(x, splits=10, shuffle=False)
    assert found.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert found.std_error == pytest.approx(scipy.stats.sem(scores), rel=1e-10)
    assert spread_over_splits(found, 10) == pytest.approx(np.std(scores), rel=1e-10)


def test_sharp_and_even_classes_score_their_number() -> None:
    assert inception_score(1e4 * np.eye(7).repeat(10, axis=0), splits=1).value == pytest.approx(7)


def test_equal_predictions_score_one() -> None:
    assert inception_score(np.tile(logits(2)[:1], (20, 1))).value == pytest.approx(1)


def test_constants_added_to_logits_change_nothing() -> None:
    x = logits(3)
    shifted = inception_score(x + 1000 * np.arange(len(x))[:, None])
    assert shifted.value == pytest.approx(inception_score(x).value, rel=1e-9)


@pytest.mark.parametrize("splits", [0, 11])
def test_impossible_splits_are_refused(splits: int) -> None:
    with pytest.raises(BenchmarkError, match=f"{splits} splits of 20 images: 1 to 10"):
        inception_score(logits(0, n=20), splits=splits)


def test_nan_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="logits: the features of image 0 hold NaN"):
        inception_score(np.full((3, 2), np.nan))


@pytest.mark.parametrize("n", [20, 105, 999])
@pytest.mark.parametrize("options", [{}, {"splits": 1}, {"splits": 7, "shuffle": False}])
def test_value_and_spread_are_those_of_torch_fidelity(n: int, options: dict[str, int]) -> None:
    """Its defaults are ours, and so are the parts of a number that the splits do not divide."""
    metric_isc = pytest.importorskip("torch_fidelity.metric_isc")
    torch = pytest.importorskip("torch")
    x = logits(4, n)
    expected = metric_isc.isc_features_to_metric(torch.from_numpy(x), **options)
    found = inception_score(x, **options)
    assert found.value == pytest.approx(expected["inception_score_mean"], rel=1e-10)
    splits = options.get("splits", 10)
    if splits > 1:
        spread = spread_over_splits(found, splits)
        assert spread == pytest.approx(expected["inception_score_std"], rel=1e-8)


def test_an_ordered_set_is_shuffled_before_it_is_split() -> None:
    """Ten classes, one after the other: each tenth of them in its order has one class alone."""
    x = 1e4 * np.eye(10).repeat(50, axis=0)
    assert inception_score(x, shuffle=False).value == pytest.approx(1)
    assert inception_score(x).value > 8
    assert inception_score(x) == inception_score(x)
    assert inception_score(x, seed=1) != inception_score(x)
