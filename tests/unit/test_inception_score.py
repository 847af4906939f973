import numpy as np
import pytest
import scipy.special
import scipy.stats
from pydantic import ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.metrics.inception_score import InceptionScore, spread_over_splits


def logits(seed: int, n: int = 200, classes: int = 12) -> np.ndarray:
    return 3 * np.random.default_rng(seed).normal(size=(n, classes))


def by_definition(x: np.ndarray) -> float:
    p = scipy.special.softmax(x, axis=1)
    return float(np.exp(np.mean([scipy.stats.entropy(row, p.mean(axis=0)) for row in p])))


def test_score_is_the_exponential_of_the_mean_divergence() -> None:
    x = logits(0)
    assert InceptionScore(splits=1).compute(x).value == pytest.approx(by_definition(x), rel=1e-12)


def test_splits_take_the_mean_over_runs_of_images() -> None:
    x = logits(1)
    scores = [by_definition(part) for part in np.array_split(x, 10)]
    found = InceptionScore(splits=10, shuffle=False).compute(x)
    assert found.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert found.std_error == pytest.approx(scipy.stats.sem(scores), rel=1e-10)
    assert spread_over_splits(found, 10) == pytest.approx(np.std(scores), rel=1e-10)


def test_sharp_and_even_classes_score_their_number() -> None:
    assert InceptionScore(splits=1).compute(
        1e4 * np.eye(7).repeat(10, axis=0)
    ).value == pytest.approx(7)


def test_equal_predictions_score_one() -> None:
    assert InceptionScore().compute(np.tile(logits(2)[:1], (20, 1))).value == pytest.approx(1)


def test_constants_added_to_logits_change_nothing() -> None:
    x = logits(3)
    shifted = InceptionScore().compute(x + 1000 * np.arange(len(x))[:, None])
    assert shifted.value == pytest.approx(InceptionScore().compute(x).value, rel=1e-9)


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="11 splits of 20 images: 1 to 10"):
        InceptionScore(splits=11).compute(logits(0, n=20))
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        InceptionScore(splits=0)


def test_nan_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="logits: the features of image 0 hold NaN"):
        InceptionScore().compute(np.full((3, 2), np.nan))


@pytest.mark.parametrize("n", [20, 105, 999])
@pytest.mark.parametrize("options", [{}, {"splits": 1}, {"splits": 7, "shuffle": False}])
def test_value_and_spread_are_those_of_torch_fidelity(n: int, options: dict[str, int]) -> None:
    """Its defaults are ours, and so are the parts of a number that the splits do not divide."""
    metric_isc = pytest.importorskip("torch_fidelity.metric_isc")
    torch = pytest.importorskip("torch")
    x = logits(4, n)
    expected = metric_isc.isc_features_to_metric(torch.from_numpy(x), **options)
    found = InceptionScore(**options).compute(x)
    assert found.value == pytest.approx(expected["inception_score_mean"], rel=1e-10)
    splits = options.get("splits", 10)
    if splits > 1:
        spread = spread_over_splits(found, splits)
        assert spread == pytest.approx(expected["inception_score_std"], rel=1e-8)


def test_an_ordered_set_is_shuffled_before_it_is_split() -> None:
    """Ten classes, one after the other: each tenth of them in its order has one class alone."""
    x = 1e4 * np.eye(10).repeat(50, axis=0)
    assert InceptionScore(shuffle=False).compute(x).value == pytest.approx(1)
    assert InceptionScore().compute(x).value > 8
    assert InceptionScore().compute(x) == InceptionScore().compute(x)
    assert InceptionScore(seed=1).compute(x) != InceptionScore().compute(x)
