import io
import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import cdist

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics import distances
from benchmark.metrics.memorisation import (
    DUPLICATE,
    Copies,
    accused,
    authenticity,
    closer_share,
    closest,
    copies,
    data_copying,
    distance_ratio,
    distinct,
    divide,
    least_accused,
    memorisation,
    pixels,
)

Array = NDArray[np.float64]
Images = NDArray[np.uint8]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pictures(seed: int, count: int, side: int = 16) -> Images:
    """Smooth random colours, no two alike: 5×5 grey levels enlarged."""
    coarse = rng(seed).uniform(0, 255, (count, 5, 5, 3)).astype(np.uint8)
    size = (side, side)
    enlarged = [Image.fromarray(c).resize(size, Image.Resampling.BICUBIC) for c in coarse]
    return np.stack([np.asarray(image) for image in enlarged])


def jpeg(images: Images) -> Images:
    def compressed(image: Images) -> Images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=75)
        return np.asarray(Image.open(buffer))

    return np.stack([compressed(np.ascontiguousarray(image)) for image in images])


TRAIN, HELD_OUT, INNOCENT = pictures(0, 400), pictures(1, 200), pictures(2, 150)
CHOSEN = rng(3).choice(400, 150, replace=False)
PLANTED = {
    "exact": TRAIN[CHOSEN],
    "flipped": TRAIN[CHOSEN][:, :, ::-1],
    "compressed": jpeg(TRAIN[CHOSEN]),
    "flipped and compressed": jpeg(TRAIN[CHOSEN][:, :, ::-1]),
}


def copied(queries: Images, train: Images, **options: float) -> Copies:
    """The calibrated distances to these training images."""
    return copies(queries, train, distinct(pixels(train)), **options)


def convicted(scores: Array) -> NDArray[np.bool_]:
    """Which of the samples with these scores are accused, by the held-out images."""
    return accused(scores, copied(HELD_OUT, TRAIN).score, false_discovery_rate=0.05)


def figures(images: Images) -> dict[str, Value]:
    """The four figures in pixels, blind to flips."""
    train = np.concatenate([TRAIN, TRAIN[:, :, ::-1]])
    found = memorisation(pixels(images), pixels(HELD_OUT), pixels(train), distinct(pixels(train)))
    assert not found.missing
    return found.values


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_sampler_is_found_by_every_figure(kind: str) -> None:
    found = figures(PLANTED[kind])
    assert found["distance_ratio"].high < 0.5
    assert found["closer_share"].low > 0.8
    assert found["data_copying"].high < -3
    assert found["authenticity"].value < figures(INNOCENT)["authenticity"].low


def test_held_out_images_are_not_found() -> None:
    found = figures(INNOCENT)
    assert found["distance_ratio"].low < 1 < found["distance_ratio"].high
    assert found["closer_share"].low == 0
    assert found["data_copying"].low < 0 < found["data_copying"].high


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_copies_are_accused_each_with_its_original(kind: str) -> None:
    found = copied(PLANTED[kind], TRAIN)
    assert convicted(found.score).all()
    assert (found.score <= 1).all()
    np.testing.assert_array_equal(found.train_index, CHOSEN)
    assert found.mirrored.all() == kind.startswith("flipped")
    assert found.mirrored.any() == kind.startswith("flipped")


def test_held_out_images_are_not_accused() -> None:
    found = copied(INNOCENT, TRAIN)
    assert not convicted(found.score).any()
    assert not (found.score <= 1).any()


def test_few_copies_among_innocents_are_accused_and_no_others() -> None:
    mixed = np.concatenate([INNOCENT[:120], PLANTED["exact"][:30]])
    found = convicted(copied(mixed, TRAIN).score)
    assert found[120:].all()
    assert found[:120].sum() <= 2


def test_calibrated_distance_is_that_of_the_paper() -> None:
    queries, train = INNOCENT[:4], TRAIN[:30]
    found = copied(queries, train, neighbours=7, alpha=0.4)
    for i, query in enumerate(queries.astype(float) / 255):
        rms = np.array(
            [
                min(np.sqrt(np.mean((q - x / 255.0) ** 2)) for q in (query, query[:, ::-1]))
                for x in train.astype(float)
            ]
        )
        assert found.train_index[i] == rms.argmin()
        assert found.distance[i] == pytest.approx(rms.min(), rel=1e-5)
        assert found.score[i] == pytest.approx(
            rms.min() / (0.4 * np.sort(rms)[:7].mean()), rel=1e-5
        )


def test_near_duplicates_in_the_training_set_do_not_hide_a_copy() -> None:
    nearly = TRAIN[:1].astype(int) + rng(4).integers(-1, 2, (60, *TRAIN.shape[1:]))
    train = np.concatenate([TRAIN, nearly.clip(0, 255).astype(np.uint8)])
    found = copied(jpeg(TRAIN[:1]), train)
    assert (found.score <= 1).all()
    assert found.train_index[0] == 0
    bank = distinct(pixels(train))
    assert authenticity(pixels(jpeg(TRAIN[:1])), pixels(train), bank).value == 0


def test_larger_images_are_averaged_down() -> None:
    large = pictures(5, 3, side=96)
    blocks = large.reshape(3, 16, 6, 16, 6, 3).mean(axis=(2, 4)).reshape(3, -1) / 255
    np.testing.assert_allclose(pixels(large) * np.sqrt(768), blocks, atol=1.01 / 255)


def test_images_of_other_size_or_too_few_are_refused() -> None:
    with pytest.raises(BenchmarkError, match=r"copies: images of shape \(8, 8, 3\) and \(16, 16"):
        copied(pictures(0, 3, side=8), TRAIN)
    with pytest.raises(BenchmarkError, match="neighbours: 50 cannot be found among 40 images"):
        copied(INNOCENT, TRAIN[:40])


@pytest.mark.parametrize("block", [7, 2048])
def test_distinct_keeps_the_first_of_near_duplicates(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances, "ROW_BLOCK", block)
    x = rng(6).normal(size=(40, 5))
    doubled = np.concatenate([x[:3] + 1e-4, x, x[10:20] + 1e-5, x[30:31]])
    np.testing.assert_array_equal(distinct(doubled).rows, [0, 1, 2, *range(6, 43)])
    np.testing.assert_array_equal(distinct(np.ones((9, 2))).rows, [0])


def test_authenticity_counts_samples_farther_than_their_neighbours_neighbour() -> None:
    train = np.array([[0.0], [1.0], [10.0]])
    samples = np.array([[0.5], [-0.9], [-1.1], [12.0], [19.1]])  # gaps: 1, 1, 9
    found = authenticity(samples, train, distinct(train))
    assert found.value == pytest.approx(100 * 2 / 5)
    assert found.low is not None
    assert 0 < found.low < 40


def test_a_distance_ratio_is_never_below_0() -> None:
    own = np.array([0.0] * 13 + [6.0] * 11)
    found = distance_ratio(own, rng(8).uniform(8, 12, 108), rng())
    assert found.value == found.low == 0 < found.high


def test_distance_ratio_is_that_of_medians() -> None:
    own, held_out = rng(7).uniform(1, 2, 101), rng(8).uniform(2, 4, 301)
    found = distance_ratio(own, held_out, rng())
    assert found.value == pytest.approx(np.median(own) / np.median(held_out))
    assert found.low < 0.5 < found.high
    assert found.high - found.low < 0.15


def test_held_out_images_in_the_training_set_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="a quarter of its images are in the training set"):
        distance_ratio(np.ones(8), np.array([0, 0, 0, 1.0, 1, 1]), rng())


def test_some_of_few_held_out_images_in_the_training_set_are_refused() -> None:
    held_out = np.array([0, 0, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    assert np.percentile(held_out, 25) > 0
    with pytest.raises(BenchmarkError, match="held-out: 2 of 8 images are in the training set too"):
        distance_ratio(rng(1).random(20) + 0.3, held_out, rng())


lists = st.lists(st.integers(0, 9), min_size=1, max_size=25)


@settings(deadline=None)
@given(lists, lists)
def test_closer_share_is_the_one_sided_smirnov_statistic(own: list[int], other: list[int]) -> None:
    found = closer_share(np.array(own, float), np.array(other, float))
    expected = scipy.stats.ks_2samp(own, other, alternative="greater", method="asymp").statistic
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_closer_share_estimates_the_share_of_copies() -> None:
    generator = rng(9)
    own = np.concatenate([generator.uniform(0, 0.1, 300), generator.uniform(1, 2, 700)])
    found = closer_share(own, generator.uniform(1, 2, 1000))
    assert found.low <= 0.3 <= found.high
    assert found.value == pytest.approx(0.3, abs=0.05)
    false_alarms = [
        closer_share(generator.normal(size=80), generator.normal(size=120)).low > 0
        for _ in range(400)
    ]
    assert np.mean(false_alarms) < 0.05


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=20, max_size=40), st.lists(st.integers(0, 9), min_size=1)
)
def test_one_cell_of_data_copying_is_scipys_mann_whitney_test(
    own: list[int], other: list[int]
) -> None:
    cells = np.zeros(len(own), int), np.zeros(len(other), int)
    found = data_copying(np.array(own, float), cells[0], np.array(other, float), cells[1])
    if len({*own, *other}) == 1:
        assert found.value == 0
        return
    expected = scipy.stats.mannwhitneyu(
        own, other, use_continuity=False, method="asymptotic", alternative="greater"
    )
    assert scipy.stats.norm.sf(found.value) == pytest.approx(expected.pvalue, abs=1e-9)


def test_data_copying_weighs_cells_by_held_out_images() -> None:
    """Cell 0 is copied, 1 underfitted, 2 has too few samples, 3 no held-out image."""
    own = np.concatenate([np.zeros(30), np.full(40, 9.0), np.zeros(5), np.zeros(50)])
    own_cell = np.repeat([0, 1, 2, 3], [30, 40, 5, 50])
    held_out = rng(10).uniform(1, 2, 100)
    held_out_cell = np.repeat([0, 1, 2], [60, 20, 20])
    found = data_copying(own, own_cell, held_out, held_out_cell)

    def z(a: Array, b: Array) -> float:
        result = scipy.stats.mannwhitneyu(a, b, use_continuity=False, method="asymptotic")
        return float(scipy.stats.norm.isf(result.pvalue / 2))

    z0, z1 = -z(own[:30], held_out[:60]), z(own[30:70], held_out[60:80])
    assert found.value == pytest.approx(0.75 * z0 + 0.25 * z1, rel=1e-6)
    assert found.std_error == pytest.approx(np.hypot(0.75, 0.25))


def test_a_figure_that_cannot_be_computed_is_missing_with_its_reason() -> None:
    train = rng(2).normal(size=(50, 3))
    few = memorisation(
        rng(0).normal(size=(10, 3)), rng(1).normal(size=(30, 3)), train, distinct(train)
    )
    assert set(few.values) == {"distance_ratio", "closer_share", "authenticity"}
    assert few.missing["data_copying"].startswith("data copying: no cell holds 20 of 10 samples")
    with pytest.raises(BenchmarkError, match="cells: 9 of 8 distinct training images"):
        divide(rng(2).normal(size=(8, 3)), 9, rng(), np.zeros((30, 3)))


def test_of_many_training_images_some_make_the_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clusters stay apart, whether all rows or every third one are clustered."""
    train = rng(2).normal(size=(90, 3)) + 50 * (np.arange(90) % 2)[:, None]
    whole, asked = divide(train, 2, rng(), train, train[:5])
    monkeypatch.setattr("benchmark.metrics.memorisation.CLUSTERED", 30)
    some, few = divide(train, 2, rng(), train, train[:5])
    for cell in (whole, some):
        assert len(set(cell[::2])) == len(set(cell[1::2])) == 1
        assert cell[0] != cell[1]
    np.testing.assert_array_equal(few, some[:5])
    np.testing.assert_array_equal(asked, whole[:5])


def test_constant_features_leave_out_what_they_do_not_allow() -> None:
    train = np.ones((50, 3))
    found = memorisation(np.ones((40, 3)), np.ones((30, 3)), train, distinct(train))
    assert found.values["closer_share"].value == 0
    assert set(found.missing) == {"distance_ratio", "authenticity", "data_copying"}


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), lists)
def test_accusations_are_those_of_benjamini_and_hochberg(
    scores: list[int], held_out: list[int]
) -> None:
    p_values = [(1 + sum(h <= s for h in held_out)) / (1 + len(held_out)) for s in scores]
    expected = scipy.stats.false_discovery_control(p_values) <= 0.25 * (1 + 1e-12)
    found = accused(np.array(scores, float), np.array(held_out, float), false_discovery_rate=0.25)
    np.testing.assert_array_equal(found, expected)


def test_a_p_value_on_the_line_is_rejected() -> None:
    held_out = np.array([1.0, 2, 3])  # the smallest p-value is 1/4
    assert accused(np.array([0.0]), held_out, false_discovery_rate=0.25).all()
    assert not accused(np.array([0.0]), held_out, false_discovery_rate=0.24).any()


def test_false_discovery_rate_is_kept() -> None:
    """One in ten samples is a copy; on average at most the stated rate of accusations is false."""
    generator = rng(11)
    shares = []
    for _ in range(300):
        scores = np.concatenate([generator.normal(size=180), generator.normal(-6, 1, 20)])
        found = accused(scores, generator.normal(size=500), false_discovery_rate=0.2)
        shares.append(found[:180].sum() / max(1, found.sum()))
        assert found[180:].mean() > 0.5
    assert 0.1 < np.mean(shares) < 0.2


def test_a_few_copies_among_many_samples_are_noticed_though_none_is_accused() -> None:
    """At 300 held-out images and 100 samples 4 copies are needed before one is accused."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([np.full(3, 0.1), rng.uniform(1, 2, 97)])
    held_out = rng.uniform(1, 2, 300)
    assert least_accused(100, 300, false_discovery_rate=0.1) == 4
    assert not accused(scores, held_out, false_discovery_rate=0.1).any()
    below, p_value = closest(scores, held_out)
    assert below[:3].all()
    assert p_value < 0.05


@given(st.integers(1, 6), st.integers(1, 6))
def test_the_chance_of_so_many_closest_is_that_of_all_orders(n: int, m: int) -> None:
    """Of n samples and m others in every order, as often as this the k smallest are all samples."""
    orders = list(itertools.combinations(range(n + m), n))
    for k in range(n + 1):
        share = sum(set(range(k)) <= set(order) for order in orders) / len(orders)
        scores = np.where(np.arange(n) < k, 0.0, 2.0)
        below, p_value = closest(scores, np.ones(m))
        assert below.sum() == k
        assert p_value == pytest.approx(share)


@pytest.mark.parametrize("seed", range(4))
def test_distinct_rows_are_those_of_the_definition(seed: int) -> None:
    """Clusters of copies, of near copies and chains of them, in a random order."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(60, 6))
    chain = base[0] + 0.06 * np.arange(9)[:, None] * np.eye(6)[0]
    near = base[rng.integers(0, 60, 40)] + rng.normal(scale=0.03, size=(40, 6))
    rows = rng.permutation(np.concatenate([base, base[:7], near, chain])).astype(np.float32)
    apart = cdist(rows.astype(np.float64), rows.astype(np.float64))
    others = apart + np.diag(np.full(len(rows), np.inf))
    gaps = others.min(axis=1)
    radius = DUPLICATE * np.median(gaps[gaps > 0])
    kept: list[int] = []
    for row in range(len(rows)):
        if not any(apart[row, earlier] <= radius for earlier in kept):
            kept.append(row)
    assert 60 <= len(kept) < len(rows)
    bank = distinct(rows)
    assert bank.rows.tolist() == kept
    assert bank.gaps == pytest.approx(others[np.ix_(kept, kept)].min(axis=1), rel=1e-12)
