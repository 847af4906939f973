"""Controls are what their names say, and figures notice them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from stages import do

from benchmark.config.config import Config
from benchmark.data import load_dataset
from benchmark.data.controls import CONTROLS
from benchmark.data.sources.avatars import Avatars
from benchmark.metrics.memorisation import accused, copies, distinct, pixels
from benchmark.records.record import read_record
from benchmark.storage.paths import Run

Images = NDArray[np.uint8]


def make(name: str, train: Images, count: int, seed: int = 0) -> Images:
    return CONTROLS.make(name).make(train, count, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def avatars() -> Images:
    """600 embedded faces."""
    source = Avatars(source="avatars", resolution=32, train=2, held_out=1)
    return np.stack([np.asarray(source.render(i)) for i in range(600)])


TRAIN = np.random.default_rng(1).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", CONTROLS.names())
def test_a_control_is_images_of_the_size_of_the_data_and_follows_from_the_seed(name: str) -> None:
    before = TRAIN.copy()
    made = make(name, TRAIN, 20)
    assert (made.shape, made.dtype) == ((20, *TRAIN.shape[1:]), np.uint8)
    assert np.array_equal(made, make(name, TRAIN, 20))
    assert not np.array_equal(made, make(name, TRAIN, 20, seed=1))
    assert np.array_equal(TRAIN, before)


def test_noise_is_uniform() -> None:
    pixels = make("noise", TRAIN, 200)
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert pixels.mean() == pytest.approx(127.5, abs=1)
    assert pixels.std() == pytest.approx(256 / np.sqrt(12), abs=1)


@pytest.mark.parametrize("levels", [1, 3])
def test_faint_noise_changes_pixels_by_so_many_grey_levels(levels: int) -> None:
    flat = np.full((400, 8, 8, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    found = CONTROLS.make("faint-noise", levels=levels).make(flat, 200, rng).astype(int) - 128
    assert set(np.unique(found)) == set(range(-levels, levels + 1))
    # of a uniform whole number from -L to L: mean 0 and variance L(L + 1)/3
    assert abs(found.mean()) < 0.05
    assert found.var() == pytest.approx(levels * (levels + 1) / 3, rel=0.05)


def test_faint_noise_stays_within_the_range_of_bytes() -> None:
    black = np.zeros((40, 8, 8, 3), np.uint8)
    found = CONTROLS.make("faint-noise").make(black, 20, np.random.default_rng(0))
    assert found.max() == 1


def test_blur_has_the_width_that_is_stated() -> None:
    """A white line becomes a Gaussian whose standard deviation is 1/32 of the width."""
    train = np.zeros((2, 128, 128, 3), np.uint8)
    train[:, :, 64] = 255
    profile = make("blur", train, 1)[0, 64, :, 0].astype(float)
    x = np.arange(128) - 64
    assert np.sqrt((profile * x**2).sum() / profile.sum()) == pytest.approx(4, rel=0.05)
    assert not profile[[0, -1]].any()


def test_the_brighter_half_is_dropped_and_no_image_taken_twice() -> None:
    train = np.arange(40, dtype=np.uint8)[::-1, None, None, None] * np.ones((8, 8, 3), np.uint8)
    found = make("dropped-mode", train, 20)[:, 0, 0, 0]
    assert sorted(found) == list(range(20))


def test_copies_are_exact_mirrored_and_compressed_by_turns() -> None:
    smooth = np.repeat(np.repeat(TRAIN[:, :4, :4], 4, 1), 4, 2)
    made = make("copies", smooth, 20)
    known = {image.tobytes(): i for i, image in enumerate(smooth)}
    mirrored = {np.ascontiguousarray(image[:, ::-1]).tobytes() for image in smooth}
    assert len({known[image.tobytes()] for image in made[::3]}) == 7
    assert all(image.tobytes() in mirrored for image in made[1::3])
    for image in made[2::3]:
        differences = np.abs(smooth.astype(int) - image).mean(axis=(1, 2, 3))
        assert 0 < differences.min() < 6 < np.sort(differences)[1]


def test_planted_copies_of_avatars_are_accused_and_held_out_ones_are_not(avatars: Images) -> None:
    train, held_out = avatars[::3], np.concatenate([avatars[1::3], avatars[2::3]])
    planted = make("copies", train, 90)
    bank = distinct(pixels(train))
    scores = copies(np.concatenate([planted, held_out]), train, bank).score
    own, unseen = scores[:90], scores[90:]
    found = accused(own, unseen, false_discovery_rate=0.1)
    shares = {part: found[i::3].mean() for i, part in enumerate(CONTROLS.get("copies").parts)}
    assert shares["exact"] == shares["mirrored"] == 1
    assert shares["jpeg"] > 0.9
    innocent = accused(unseen[::2], unseen[1::2], false_discovery_rate=0.1)
    assert innocent.mean() <= 0.1


def test_all_controls_of_a_data_set_lie_in_one_array(run: Run, smoke: Config) -> None:
    do("controls", smoke, "tiny", run)
    made = np.load(run.samples("controls-tiny"))
    train = load_dataset(run.data("tiny")).train
    assert made.shape == (5 * 8, *train.shape[1:])
    exact = made[4 * 8 :: 3]  # the copies come last
    assert all((image == train).all(axis=(1, 2, 3)).any() for image in exact)
    record = read_record(run.record("controls", "controls-tiny"))
    assert record.made.controls == ["noise", "blur", "faint-noise", "dropped-mode", "copies"]
    other = smoke.model_copy(update={"seed": smoke.seed + 1})
    do("controls", other, "tiny", run)
    assert not np.array_equal(made, np.load(run.samples("controls-tiny")))
