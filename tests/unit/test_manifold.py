import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from benchmark.core.errors import BenchmarkError
from benchmark.metrics import METRICS, distances
from benchmark.metrics.density import Density
from benchmark.metrics.manifold import manifold
from benchmark.metrics.precision import Precision
from benchmark.metrics.recall import Recall
from benchmark.metrics.uncertainty import Z95, jackknife

Array = NDArray[np.float64]
NAMES = ("precision", "recall", "density", "coverage")


def features(seed: int, n: int, d: int = 5, shift: float = 0.0, scale: float = 1.0) -> Array:
    return scale * np.random.default_rng(seed).normal(size=(n, d)) + shift


def by_definition(fake: Array, real: Array, k: int) -> dict[str, float]:
    """The four figures as the papers define them, one pair of images at a time."""

    def radii(x: Array) -> list[float]:
        return [sorted(np.linalg.norm(a - b) for b in x)[k] for a in x]  # [0] is a itself

    real_radii, fake_radii = radii(real), radii(fake)
    apart = [[float(np.linalg.norm(r - f)) for f in fake] for r in real]
    in_real = [[apart[i][j] < real_radii[i] for i in range(len(real))] for j in range(len(fake))]
    in_fake = [[apart[i][j] < fake_radii[j] for j in range(len(fake))] for i in range(len(real))]
    return {
        "precision": float(np.mean([any(row) for row in in_real])),
        "recall": float(np.mean([any(row) for row in in_fake])),
        "density": sum(sum(row) for row in in_real) / (k * len(fake)),
        "coverage": float(np.mean([any(row[i] for row in in_real) for i in range(len(real))])),
    }


@pytest.mark.parametrize(("n", "m", "k"), [(40, 50, 3), (50, 30, 5), (6, 20, 1)])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.7, 0.6), (0.0, 1.6)])
def test_all_four_match_their_definitions(
    n: int, m: int, k: int, shift: float, scale: float
) -> None:
    fake, real = features(0, n, shift=shift, scale=scale), features(1, m)
    expected = by_definition(fake, real, k)
    whole = manifold(fake, real, k)
    for name in NAMES:
        assert getattr(whole, name) == pytest.approx(expected[name], abs=1e-12), name
        options = {"groups": 3} if name in ("recall", "coverage") else {}
        found = METRICS.make(name, k=k, **options).compute(fake, real)
        assert found.value == pytest.approx(expected[name], abs=1e-12), name


def test_matches_prdc() -> None:
    prdc = pytest.importorskip("prdc")
    fake, real = features(2, 300, d=20, shift=0.2), features(3, 400, d=20)
    expected = prdc.compute_prdc(real, fake, nearest_k=5)
    found = manifold(fake, real, 5)
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(expected[name], abs=1e-12)


def by_closed_balls(fake: Array, real: Array, k: int) -> dict[str, float]:
    """The four figures of balls that contain their borders."""
    apart = cdist(real, fake)
    in_real = apart <= np.sort(cdist(real, real), axis=1)[:, k, None]
    in_fake = apart <= np.sort(cdist(fake, fake), axis=1)[:, k]
    return {
        "precision": float(in_real.any(axis=0).mean()),
        "recall": float(in_fake.any(axis=1).mean()),
        "density": float(in_real.sum() / (k * len(fake))),
        "coverage": float(in_real.any(axis=1).mean()),
    }


def test_only_closed_balls_hold_images_that_all_stand_k_plus_1_times() -> None:
    """The figures of docs/metrics.md, of 100 images and themselves."""
    once = features(30, 100)
    sixfold = np.repeat(once, 6, axis=0)
    all_1 = dict.fromkeys(NAMES, 1.0)
    assert {name: getattr(manifold(once, once, 5), name) for name in NAMES} == all_1
    for x in (once, sixfold):
        assert by_closed_balls(x, x, 5) == pytest.approx(all_1 | {"density": 1.2})
    for name in NAMES:
        with pytest.raises(BenchmarkError, match="every image has 5 equal ones"):
            METRICS.make(name, k=5).compute(sixfold, sixfold)


def test_closed_balls_of_samples_that_stand_k_plus_1_times_hold_no_other_image() -> None:
    fake, real = features(31, 100), features(30, 100)
    assert by_closed_balls(fake, real, 5)["recall"] == pytest.approx(0.95)
    assert by_closed_balls(np.repeat(fake, 6, axis=0), real, 5)["recall"] == 0


def test_prdc_says_0_where_all_images_stand_k_plus_1_times() -> None:
    """Where its distances are exact, as of parts of 1024, else it finds some by rounding."""
    prdc = pytest.importorskip("prdc")
    for step, most in ((1 / 1024, 0.0), (1e-9, 0.5)):
        once = np.round(features(30, 100) / step) * step
        sixfold = np.repeat(once, 6, axis=0)
        assert prdc.compute_prdc(once, once, nearest_k=5) == pytest.approx(dict.fromkeys(NAMES, 1))
        assert all(x <= most for x in prdc.compute_prdc(sixfold, sixfold, nearest_k=5).values())


def with_ties(kind: str, seed: int) -> tuple[Array, Array]:
    """Sets of few values, or in which images are there many times."""
    generator = np.random.default_rng(seed)
    base, step = features(seed, 40, d=50, shift=1000.0 if kind == "far" else 0.0), 0.01
    if kind == "binary":
        base = generator.integers(0, 2, (40, 12)).astype(float)
    if kind == "outliers":
        base[::9] *= 1e6
    if kind == "clusters":
        base, step = 1e6 * base[generator.integers(0, 3, 40)] + 1e-3 * base, 1e-5
    near = base + step * generator.normal(size=base.shape)
    fake = np.concatenate(
        [base[generator.integers(0, 40, 60)], near, features(seed, 20, len(base[0]))]
    )
    return fake, base[generator.integers(0, 40, 120)]


@pytest.mark.parametrize("block", [7, 2048])
@pytest.mark.parametrize("kind", ["copies", "far", "binary", "outliers", "clusters"])
@pytest.mark.parametrize("seed", range(5))
def test_ties_are_decided_as_by_exact_distances(
    kind: str, seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cdist sums squares of differences, so that equal distances are equal."""
    fake, real = with_ties(kind, seed)
    monkeypatch.setattr(distances, "ROW_BLOCK", block)
    k = 5
    apart = cdist(real, fake)
    in_real = apart < np.sort(cdist(real, real), axis=1)[:, k, None]
    in_fake = apart < np.sort(cdist(fake, fake), axis=1)[:, k]
    expected = {
        "precision": in_real.any(axis=0).mean(),
        "recall": in_fake.any(axis=1).mean(),
        "density": in_real.sum(axis=0).mean() / k,
        "coverage": in_real.any(axis=1).mean(),
    }
    whole = manifold(fake, real, k)
    for name in NAMES:
        assert METRICS.make(name, k=k).compute(fake, real).value == pytest.approx(
            expected[name], abs=1e-12
        )
        assert getattr(whole, name) == pytest.approx(expected[name], abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = features(4, 53), features(5, 47)
    whole = manifold(fake, real, 4)
    metrics = [METRICS.make(name, k=4).compute(fake, real) for name in NAMES]
    monkeypatch.setattr(distances, "ROW_BLOCK", 10)
    parts = manifold(fake, real, 4)
    for a, b in zip(whole[1:], parts[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    assert [METRICS.make(name, k=4).compute(fake, real) for name in NAMES] == metrics


def peak(name: str, fake: Array, real: Array) -> int:
    """Bytes that a metric holds at most, beside its input."""
    tracemalloc.start()
    try:
        METRICS.make(name, k=5).compute(fake, real)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_the_pairs_that_match(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collapsed model's images lie in every ball, or every image in one of theirs."""
    monkeypatch.setattr(distances, "ROW_BLOCK", 256)
    rng = np.random.default_rng(22)
    real, collapsed = rng.normal(size=(1500, 8)), 1e-3 * rng.normal(size=(1500, 8))
    real[-6:] += 100  # balls that reach over all others are those of real images far out
    wide = np.concatenate([collapsed, collapsed[:8] + 100])
    for pair in ((collapsed, 0.1 * real), (wide, 1e-4 * real), (real, collapsed)):
        assert peak(name, *pair) < 1.5 * peak(name, rng.normal(size=(1500, 8)), real)


def test_far_sets_share_nothing_and_a_subset_is_inside() -> None:
    real = features(6, 60)
    far = manifold(features(7, 40, shift=100), real, 3)
    assert [getattr(far, name) for name in NAMES] == [0, 0, 0, 0]
    assert manifold(real[:30], real, 3).precision == 1


def test_lost_mode_lowers_recall_and_coverage_only() -> None:
    modes = np.concatenate([features(8, 100), features(9, 100, shift=20)])
    whole = manifold(np.concatenate([features(10, 50), features(11, 50, shift=20)]), modes, 5)
    lost = manifold(features(12, 100), modes, 5)
    assert lost.recall < 0.6 * whole.recall
    assert lost.coverage < 0.6 * whole.coverage
    assert lost.precision > 0.9 * whole.precision
    assert lost.density > 0.8 * whole.density


def test_features_far_from_the_origin_change_nothing() -> None:
    fake, real = features(13, 50), features(14, 60)
    for a, b in zip(manifold(fake, real, 5), manifold(fake + 1e7, real + 1e7, 5), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_error_covers_the_spread_of_repeated_samples(name: str) -> None:
    """The jackknife of recall and coverage errs upwards, by less than a factor of two."""
    real = features(15, 150)
    found = [
        METRICS.make(name, k=3).compute(features(100 + i, 80, shift=0.5, scale=0.8), real)
        for i in range(100)
    ]
    spread = np.std([f.value for f in found], ddof=1)
    stated = np.sqrt(np.mean([f.std_error**2 for f in found]))
    assert 0.8 * spread < stated < 2 * spread
    covered = [f.low <= np.mean([g.value for g in found]) <= f.high for f in found]
    assert np.mean(covered) > 0.9


@pytest.mark.parametrize("n", [8, 60])
@pytest.mark.parametrize("name", NAMES)
def test_no_interval_at_zero_has_width_zero(name: str, n: int) -> None:
    found = METRICS.make(name, k=3).compute(features(20, n, shift=50), features(21, 100))
    assert (found.value, found.low) == (0, 0)
    assert found.high > 0.03


@pytest.mark.parametrize(("name", "scale", "share_of"), [("recall", 0.01, 20), ("coverage", 1, 10)])
def test_no_interval_at_one_has_width_zero(name: str, scale: float, share_of: float) -> None:
    fake, real = features(20, 2000), features(21, share_of * 3 if name == "coverage" else 20)
    found = METRICS.make(name, k=3).compute(fake, scale * real)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(share_of / (share_of + Z95**2))


def test_intervals_at_zero_are_wilsons_of_the_images_that_limit_them() -> None:
    def high(share_of: float) -> float:
        return Z95**2 / (share_of + Z95**2)  # Wilson's at a share of 0

    for n, m, k in ((8, 100, 3), (60, 100, 3), (60, 20, 5), (100, 8, 2)):
        fake, real = features(20, n, shift=50), features(21, m)
        found = {name: METRICS.make(name, k=k).compute(fake, real).high for name in NAMES}
        assert found == {
            "precision": pytest.approx(high(n)),
            "density": pytest.approx(high(n)),
            "recall": pytest.approx(high(min(n / k, m))),
            "coverage": pytest.approx(high(min(n, m / k))),
        }


def test_density_of_samples_in_equally_many_balls_has_an_interval() -> None:
    real = np.array([[0.0], [1], [2], [30], [31], [32]])
    fake = np.array([[1.1], [1.2], [1.3], [31.1]])  # each in three balls, k = 2
    found = Density(k=2).compute(fake, real)
    share = Z95**2 / (4 + Z95**2)
    assert (found.value, found.std_error) == (1.5, None)
    assert found.low == pytest.approx(1.5 * (1 - share))
    assert found.high == pytest.approx(1.5 + share)


def test_no_interval_of_density_goes_below_zero() -> None:
    found = Density(k=3).compute(features(20, 4, shift=1.2), features(21, 100))
    assert 0 < found.value < 3 * found.std_error  # of which Student takes 3.2
    assert found.low == 0


@pytest.mark.parametrize(("n", "shift"), [(8, 2.5), (8, 3.5), (30, 2.5), (30, 3.2), (60, 3.5)])
@pytest.mark.parametrize("name", NAMES)
def test_intervals_of_zero_cover_the_mean(name: str, n: int, shift: float) -> None:
    """Of samples of which a few only lie among the real images; where one sees none of them."""
    real = features(15, 60)
    found = [
        METRICS.make(name, k=3).compute(features(100 + i, n, shift=shift), real) for i in range(100)
    ]
    mean = np.mean([f.value for f in found])
    at_zero = [f for f in found if f.value == 0]
    assert len(at_zero) > 5
    assert sum(f.high < mean for f in at_zero) <= 0.05 * len(found)


@pytest.mark.parametrize(("n", "groups", "block"), [(40, 10, 2048), (43, 5, 3), (7, 50, 2)])
def test_error_of_recall_is_that_of_leaving_out_each_group(
    n: int, groups: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances, "ROW_BLOCK", block)
    fake, real = features(16, n, shift=0.8), features(17, 30)

    def share(rows: NDArray[np.intp]) -> float:
        return by_definition(fake[rows], real, 3)["recall"]

    expected = jackknife(share(np.arange(n)), share, n, groups, np.random.default_rng(4))
    found = Recall(k=3, groups=groups, seed=4).compute(fake, real)
    assert found.value == pytest.approx(expected.value, abs=1e-12)
    assert found.std_error == pytest.approx(expected.std_error, rel=1e-10)
    assert found.std_error > 0


@pytest.mark.parametrize("name", NAMES)
def test_k_must_be_below_the_number_of_images(name: str) -> None:
    side = "fake" if name == "recall" else "real"
    with pytest.raises(BenchmarkError, match=f"{side}: k = 9 neighbours among 9 images"):
        METRICS.make(name, k=9).compute(features(0, 9), features(1, 9))
    with pytest.raises(ValidationError, match=r"k\n.*greater than or equal to 1"):
        METRICS.make(name, k=0)


def test_constant_features_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="real: every image has 2 equal ones"):
        Precision(k=2).compute(features(0, 9), np.ones((9, 5)))
    with pytest.raises(BenchmarkError, match="fake: every image has 2 equal ones"):
        Recall(k=2).compute(np.ones((9, 5)), features(0, 9))
