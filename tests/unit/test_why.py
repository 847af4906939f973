"""`why` finds the cause that was planted, and refuses what it cannot explain."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import register, with_facts
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.core.errors import BenchmarkError
from benchmark.extractors import EXTRACTORS
from benchmark.metrics.uncertainty import difference
from benchmark.tools.choices.base import Option, Side
from benchmark.tools.choices.operations import FILTERS, Filter
from benchmark.tools.score import score
from benchmark.tools.score_embedding import Embedding
from benchmark.tools.why import why
from benchmark.tools.why_figure import Figure, Groups
from benchmark.tools.why_result import Why
from benchmark.tools.why_search import Published, Scored, search

CONTENT = b"weights"
Pixels = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def extractor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One more extractor: mean and spread of each channel of an image of 8×8 pixels."""
    (tmp_path / "w.pth").write_bytes(CONTENT)
    known = EXTRACTORS.make("inception-v3-fid")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    facts: dict[str, Any] = {
        "label": "FD-spread",
        "dimension": 6,
        "preprocessing": "mean of pixels to 8x8",
        "weights": dataclasses.replace(known.weights, file="w.pth", sha256=sha256, mirrors=()),
        "preprocess": lambda _, x: adaptive_avg_pool2d(x.float(), 8),
        "network": lambda *_: spread,
    }
    register(monkeypatch, with_facts(known, "spread", **facts))
    monkeypatch.delitem(EXTRACTORS.classes, "efficientnet-lite0")  # which would be scored too


def spread(x: Tensor) -> Tensor:
    return torch.cat([x.mean((2, 3)), x.std((2, 3))], dim=1)


def noisy(
    seed: int,
    count: int = 40,
    size: tuple[int, int] = (8, 8),
    shades: tuple[int, int] = (40, 180),
    noise: int = 70,
) -> list[Pixels]:
    """Images of different shades with noise in each channel."""
    rng = np.random.default_rng(seed)
    of_each = rng.integers(*shades, (count, 1, 1, 3))
    return [
        (shade + rng.integers(0, noise, (*size, 3))).clip(0, 255).astype(np.uint8)
        for shade in of_each
    ]


def textured(
    seed: int, count: int, size: tuple[int, int] = (8, 8), shade: int = 60
) -> list[Pixels]:
    """Images that differ by their noise alone, so that few of them say what was done to it."""
    return noisy(seed, count, size, (shade, shade + 4), 130)


def folder(path: Path, images: list[Pixels], suffix: str = "png", **options: Any) -> Path:
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i:03}.{suffix}", **options)
    return path


def explained(tmp_path: Path, real: Path, fake: Path, **options: Any) -> Why:
    embedding = Embedding("spread", tmp_path, device="cpu", batch=64, threads=1)
    return why(real, fake, embedding, **options)


def first(found: Why) -> tuple[str, str]:
    """The choice and the option that are listed first of those that bring the sets together.

    Half of so few images moves the figure more than most choices, always upwards.
    """
    cause = next(scored for scored in found.ranked if scored.moved.value < 0)
    assert cause.is_told_apart
    return cause.choice, cause.option.text


@pytest.mark.parametrize("quality", [75, 95])
def test_files_of_jpeg_are_found(tmp_path: Path, quality: int) -> None:
    real = folder(tmp_path / "a", noisy(0, 300))
    fake = folder(tmp_path / "b", noisy(1, 300), "jpg", quality=quality)
    found = explained(tmp_path, real, fake)
    assert first(found) == ("format", f"A as JPEG of quality {quality}")


def test_the_other_half_of_the_reference_is_found(tmp_path: Path) -> None:
    dark, bright = noisy(0), [image // 2 + 128 for image in noisy(1)]
    mixed = [*noisy(2, 20), *(image // 2 + 128 for image in noisy(3, 20))]
    real, rest = folder(tmp_path / "a", dark), folder(tmp_path / "rest", bright)
    found = explained(tmp_path, real, folder(tmp_path / "b", mixed), split=rest)
    assert first(found) == ("split", "the reference is a and rest")


def test_copies_are_found(tmp_path: Path) -> None:
    dark = [image // 4 for image in noisy(2, 4)]
    fake = folder(tmp_path / "b", [*noisy(1), *dark * 20])
    choice, option = first(explained(tmp_path, folder(tmp_path / "a", noisy(0)), fake))
    assert (choice, option) == ("duplicates", "B without 76 copies of its own images")


@pytest.mark.parametrize(
    ("shade", "text"),
    [
        (lambda image: image // 2, "transparent pixels on black"),
        (lambda image: image, "transparency dropped, as by convert('RGB') of Pillow"),
    ],
)
def test_what_became_of_transparent_pixels_is_found(
    tmp_path: Path, shade: Callable[[Pixels], Pixels], text: str
) -> None:
    alpha = np.full((8, 8, 1), 128, np.uint8)
    fake = [np.concatenate([image, alpha], axis=2) for image in noisy(1)]
    real = folder(tmp_path / "a", [shade(image) for image in noisy(0)])
    found = explained(tmp_path, real, folder(tmp_path / "b", fake))
    assert first(found) == ("alpha", text)


PILLOWS = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest pixel": Image.Resampling.NEAREST,
}
# Weights of the four pixels under one that takes their place, of filters that are not widened.
TAPS = {"plain bilinear": (0, 0.5, 0.5, 0), "plain bicubic": (-3 / 32, 19 / 32, 19 / 32, -3 / 32)}


def a_quarter_as_large(image: Pixels, name: Filter) -> Pixels:
    """Return an image of a quarter of the width and height, by Pillow or by the weights."""
    size = len(image) // 4
    if name in PILLOWS:
        return np.asarray(Image.fromarray(image).resize((size, size), PILLOWS[name]))
    blocks, taps = image.reshape(size, 4, size, 4, 3), np.array(TAPS[name])
    return np.einsum("iajbc,a,b->ijc", blocks, taps, taps).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["bilinear", *TAPS])
def test_the_filter_that_made_the_reference_small_is_found(tmp_path: Path, name: Filter) -> None:
    """Filters leave more or less of the noise, those that widen where images shrink less."""
    large = textured(0, 60, (64, 64))
    real = folder(tmp_path / "a", [a_quarter_as_large(image, name) for image in large])
    fake = folder(tmp_path / "b", textured(1, 60, (64, 64)))
    found = explained(tmp_path, real, fake, choices=["size", "resize"])
    assert first(found) == ("size", f"B to 16×16 first: {FILTERS[name]}")


@pytest.mark.parametrize("name", ["bilinear", "nearest pixel", *TAPS])
def test_the_filter_that_made_the_networks_input_is_found(tmp_path: Path, name: Filter) -> None:
    """The reference has two sizes, so that nothing but the input has one size."""
    small = [a_quarter_as_large(image, name) for image in textured(0, 60, (32, 32))]
    twice = [np.kron(image, np.ones((2, 2, 1), np.uint8)) for image in small[:3]]
    real = folder(tmp_path / "a", [*twice, *small[3:]])
    fake = folder(tmp_path / "b", textured(1, 60, (32, 32)))
    found = explained(tmp_path, real, fake, choices=["size", "resize"])
    assert first(found) == ("resize", f"A and B to 8×8: {FILTERS[name]}")


def test_stripes_that_the_nearest_pixel_left_out_are_found(tmp_path: Path) -> None:
    """The reference has stripes of its own, which the same filter would take from it too."""

    def striped(seed: int, size: int, shade: int, height: int) -> list[Pixels]:
        stripes = np.indices((size, size)).sum(axis=0)[:, :, None] % 2 * 2 - 1
        shades = np.random.default_rng(seed).integers(100, 150, (40, 1, 1, 3))
        return [(each + shade + height * stripes).astype(np.uint8) for each in shades]

    real = folder(tmp_path / "a", striped(0, 16, -60, 40))
    fake = folder(tmp_path / "b", striped(1, 32, 0, 60))
    found = explained(tmp_path, real, fake)
    assert first(found) == ("size", "B to 16×16 first: nearest pixel")


def test_a_crop_is_found(tmp_path: Path) -> None:
    framed = [np.pad(i, ((0, 0), (8, 8), (0, 0)), constant_values=255) for i in noisy(1)]
    real, fake = folder(tmp_path / "a", noisy(0)), folder(tmp_path / "b", framed)
    assert first(explained(tmp_path, real, fake))[0] == "crop"


def test_grey_images_are_found(tmp_path: Path) -> None:
    grey = [np.repeat(i.mean(axis=2, keepdims=True).astype(np.uint8), 3, 2) for i in noisy(0)]
    real, fake = folder(tmp_path / "a", grey), folder(tmp_path / "b", noisy(1))
    assert first(explained(tmp_path, real, fake))[0] == "grey"


def test_a_figure_of_few_images_is_found(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", noisy(0, 600)), folder(tmp_path / "b", noisy(1, 60))
    found = explained(tmp_path, real, fake)
    assert first(found) == ("number", "infinitely many images like B, extrapolated")


@pytest.mark.parametrize(("part", "share"), [("half", 2), ("a quarter", 4)])
def test_a_published_figure_of_fewer_images_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, share: int
) -> None:
    """Those who published it drew other images, and fewer, of the same distribution."""
    facts: dict[str, Any] = {
        "dimension": 64,
        "network": lambda *_: lambda x: x.mean(1).flatten(1),
    }
    register(monkeypatch, with_facts(EXTRACTORS.make("spread"), "grey-pixels", **facts))
    real, fake = folder(tmp_path / "a", textured(0, 400)), folder(tmp_path / "b", textured(1, 120))
    theirs = folder(tmp_path / "c", textured(2, 120 // share))
    embedding = Embedding("grey-pixels", tmp_path, device="cpu", threads=1)
    figure = score(real, theirs, embedding, ["fd"]).values["frechet"].value
    found = why(real, fake, embedding, Published.parse(f"{figure:.4g}"))
    [option] = found.combinations[0].options
    assert option.option.text == f"{part} of B, about {120 // share} images"


def test_two_causes_at_once_are_named_together(tmp_path: Path) -> None:
    """The published figure is of files of JPEG on both sides, and of no copies."""
    dark = textured(2, 60, shade=40)
    real = folder(tmp_path / "a", textured(0, 240))
    fake = folder(tmp_path / "b", [*textured(1, 240), *dark * 3], "jpg", quality=75)
    theirs = folder(tmp_path / "c", textured(0, 240), "jpg", quality=75)
    once = folder(tmp_path / "d", [*textured(3, 240), *dark], "jpg", quality=75)
    embedding = Embedding("spread", tmp_path, device="cpu", threads=1)
    figure = score(theirs, once, embedding, ["fd"]).values["frechet"].value
    found = explained(tmp_path, real, fake, published=Published.parse(f"{figure:.4g}"))
    pair = found.combinations[0]
    assert (pair.is_scored, pair.reaches) == (True, True)
    assert {(s.choice, s.option.text) for s in pair.options} == {
        ("format", "A as JPEG of quality 75"),
        ("duplicates", "B without 120 copies of its own images"),
    }


def test_another_preprocessing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = EXTRACTORS.make("spread")
    facts: dict[str, Any] = {
        "label": "FD-every-fourth",
        "dimension": 6,
        "preprocessing": "every fourth pixel",
        "weights": known.weights,
        "preprocess": lambda _, x: x[..., ::4, ::4].float(),
        "network": lambda *_: spread,
    }
    register(monkeypatch, with_facts(known, "every-fourth", **facts))
    large = noisy(0, 200, (32, 32))
    small = [image.reshape(8, 4, 8, 4, 3).mean((1, 3)).round().astype(np.uint8) for image in large]
    real = folder(tmp_path / "a", [image.repeat(4, 0).repeat(4, 1) for image in small])
    fake = folder(tmp_path / "b", noisy(1, 200, (32, 32)))
    embedding = Embedding("every-fourth", tmp_path, device="cpu", batch=64, threads=1)
    assert first(why(real, fake, embedding)) == ("dialect", "spread: mean of pixels to 8x8")


@pytest.mark.parametrize("count", [8, 12, 40, 81, 119, 128, 300, 2300])
def test_a_part_of_the_images_has_as_many_as_it_is_said_to_have(count: int) -> None:
    groups, side = Groups.of(np.arange(count)), Side((Path("b"),))
    assert 2 <= groups.number <= 20
    assert len(groups.rows(side)) == count
    taken = []
    for share in (4, 2) if groups.size % 4 == 0 else ():
        rows = groups.rows(dataclasses.replace(side, part=1 / share))
        assert abs(len(rows) - count / share) <= 1
        assert len(set(np.bincount(groups.group[rows][groups.group[rows] >= 0]))) == 1
        taken.append(set(rows))
    assert not taken or taken[0] < taken[1]


def test_the_baseline_is_the_score(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", noisy(0)), folder(tmp_path / "b", noisy(1))
    embedding = Embedding("spread", tmp_path, device="cpu", threads=1)
    expected = score(real, fake, embedding, ["fd"]).values["frechet"].value
    found = explained(tmp_path, real, fake, choices=["number"])
    assert found.baseline.value == pytest.approx(expected, rel=1e-12)
    assert [s.choice for s in found.scored] == ["number"] * 4  # two parts of B, one of A, endless


def test_paired_intervals_are_narrower_than_those_of_two_figures(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", noisy(0)), folder(tmp_path / "b", noisy(1))
    found = explained(tmp_path, real, fake, choices=["format"])
    for scored in found.scored:
        apart = difference(scored.value, found.baseline)
        assert None not in (scored.moved.low, scored.moved.high, apart.low, apart.high)
        assert scored.moved.high - scored.moved.low < (apart.high - apart.low) / 2


def test_features_of_a_preprocessing_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.tools import why_features

    calls: list[int] = []
    embed = why_features.embed_images
    monkeypatch.setattr(why_features, "embed_images", lambda *a: (calls.append(1), embed(*a))[1])
    real, fake = folder(tmp_path / "a", noisy(0)), folder(tmp_path / "b", noisy(1))
    assert len(explained(tmp_path, real, fake, choices=["format", "number"]).scored) == 10
    assert len(calls) == 2 * 3  # either set as it is, and in two qualities


def scored(choice: str, moved: float, groups: Groups, spread: float = 0.01) -> Scored:
    left_out = np.linspace(-spread, spread, groups.number)
    change, baseline = Figure(moved, moved + left_out), Figure(10.0, 10.0 + left_out)
    figure = baseline + change
    added: Any = lambda moves: (*moves, moved)  # noqa: E731
    option = Option(f"by {moved}", added)
    return Scored(choice, option, figure, figure.to_value(groups), change.to_value(groups))


def searched(
    published: str, together: float = 7.0, only: float | None = None
) -> list[tuple[list[str], bool, bool]]:
    """Search among four options, which together give one figure; `only`: those with this move."""
    groups = Groups.of(np.arange(40))
    baseline = Figure(10.0, 10.0 + np.linspace(-0.01, 0.01, groups.number))
    moves = {"a": (-1, 4), "b": (-2,), "c": (0.001,)}
    options = [scored(choice, move, groups) for choice in moves for move in moves[choice]]

    def score(change: Any) -> Figure:
        moved = change(())
        value = together if only in (None, *moved) else 10 + sum(moved)
        return Figure(value, value + np.zeros(groups.number))

    found = search(Published.parse(published), baseline, options, groups, score)
    return [([s.option.text for s in c.options], c.is_scored, c.reaches) for c in found]


def test_one_option_that_reaches_the_figure_is_told_alone() -> None:
    assert searched("8.0") == [(["by -2"], True, True)]


def test_options_add_up_and_are_scored_together() -> None:
    assert searched("7.0") == [(["by -1", "by -2"], True, True)]


def test_an_option_that_alone_moves_nothing_is_scored_with_the_nearest_one() -> None:
    assert searched("4.0", together=4.0, only=0.001) == [(["by -2", "by 0.001"], True, True)]


def test_options_that_do_not_add_up_are_the_nearest_only() -> None:
    assert all(not reaches for _, _, reaches in searched("7.0", together=9.0))


def test_the_baseline_may_reach_the_figure() -> None:
    assert searched("10.0") == [([], True, True)]


@pytest.mark.parametrize("text", ["five", "-1", "nan", "inf", ""])
def test_a_published_figure_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match=r"--published: .* is no distance"):
        Published.parse(text)


def test_digits_say_how_a_figure_was_rounded() -> None:
    assert Published.parse("5.11") == Published(5.11, pytest.approx(0.005))
    assert Published.parse("5").rounding == 0.5


def statistics_file(path: Path) -> Path:
    np.savez(path, mu=np.zeros(6), sigma=np.eye(6))
    return path


def features_file(path: Path, seed: int, count: int = 40) -> Path:
    np.save(path, np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32))
    return path


WRONG: dict[str, tuple[Callable[[Path], tuple[Path, Path]], str]] = {
    "statistics": (
        lambda t: (statistics_file(t / "a.npz"), statistics_file(t / "b.npz")),
        r"b\.npz: statistics alone say nothing of single images",
    ),
    "few": (
        lambda t: (folder(t / "a", noisy(0)), folder(t / "b", noisy(1, 7))),
        r"b: 7 images are too few: at least 8",
    ),
    "equal": (
        lambda t: (folder(t / "a", noisy(0)), folder(t / "b", noisy(1, 2) * 5)),
        r"b: 2 different images are too few: at least 8",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_sets_without_differences_are_refused(name: str, tmp_path: Path) -> None:
    make, message = WRONG[name]
    with pytest.raises(BenchmarkError, match=message):
        explained(tmp_path, *make(tmp_path))


def test_of_features_only_what_is_left_is_scored(tmp_path: Path) -> None:
    real, fake = features_file(tmp_path / "a.npy", 0), features_file(tmp_path / "b.npy", 1)
    found = explained(tmp_path, real, fake)
    assert {s.choice for s in found.scored} == {"number"}
    assert ("format", "B holds no images") in found.left_out


def test_statistics_of_the_reference_leave_the_choices_about_the_rest(tmp_path: Path) -> None:
    real, fake = statistics_file(tmp_path / "a.npz"), folder(tmp_path / "b", noisy(1))
    found = explained(tmp_path, real, fake)
    assert {s.choice for s in found.scored} == {"format", "number"}
    assert ("format", "A holds no images") in found.left_out


def test_the_command_prints_the_largest_first_and_writes_files(tmp_path: Path) -> None:
    real = folder(tmp_path / "a", noisy(0))
    fake = folder(tmp_path / "b", noisy(1), "jpg", quality=75)
    options = ["--extractor", "spread", "--weights", str(tmp_path / "w.pth"), "--threads", "1"]
    files = ["--json", str(tmp_path / "o.json"), "--plot", str(tmp_path / "o.svg")]
    choice = ["--choices", "format,duplicates", "--published", "2.5"]
    found = CliRunner().invoke(app, ["why", str(real), str(fake), *options, *files, *choice])
    assert found.exit_code == 0, found.exception
    lines = found.stdout.splitlines()
    heads = next(i for i, line in enumerate(lines) if line.startswith("choice "))
    assert lines[heads + 1].startswith("format ")
    assert any(line.startswith("published 2.5, which is −") for line in lines)
    content = json.loads((tmp_path / "o.json").read_text())
    moves = [abs(option["moved"]["value"]) for option in content["options"]]
    assert moves == sorted(moves, reverse=True)
    assert "change of FD-spread" in (tmp_path / "o.svg").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--choices", "formats"], "--choices: no choice 'formats': did you mean 'format'"),
        (["--plot", "why.gif"], "--plot: why.gif: the name must end in"),
        (["--published", "-1"], "--published: '-1' is no distance"),
    ],
)
def test_wrong_options_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["why", str(tmp_path), str(tmp_path), *options])
    assert isinstance(found.exception, BenchmarkError)
    assert str(found.exception).startswith(message)
