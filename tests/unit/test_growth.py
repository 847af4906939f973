"""How time and memory grow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from benchmark.tools.speed import growth_figure
from benchmark.tools.speed.growth import (
    QUICK,
    Case,
    GrowthCurve,
    ResourceUse,
    curve,
    grow,
    sample,
    use_of,
)

MEGABYTE = 1e6


def made(sizes: list[int], seconds: list[float]) -> GrowthCurve:
    return GrowthCurve("work", "samples", sizes, [ResourceUse(s, 500) for s in seconds])


def test_the_exponent_is_the_slope_of_the_logarithms() -> None:
    assert made([10, 30, 100], [0.5 * n**2 for n in (10, 30, 100)]).exponent == pytest.approx(2)


def test_what_is_small_beside_a_constant_does_not_count() -> None:
    """At 1 and 10 the time is all start; in the largest decade that is a hundredth."""
    sizes = [1, 10, 100, 1000, 10_000]
    assert 0.9 < made(sizes, [10 + n for n in sizes]).exponent < 1
    assert made(sizes[3:], [1, 10]).exponent == pytest.approx(1)


def test_memory_of_sampling_does_not_grow_with_the_samples() -> None:
    """4032 more images of 64×64 pixels are 50 MB; with them 200 MB of float32 would be held."""
    few, many = (use_of(sample, Case(samples=n, resolution=64, steps=1)) for n in (64, 4096))
    images = (4096 - 64) * 64 * 64 * 3 / MEGABYTE
    assert many.megabytes - few.megabytes < images


def test_every_text_of_the_figure_has_one_size_and_stands_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(growth_figure, "save_figure", lambda figure, _: drawn.append(figure))
    curves = [
        made([100, 1000, 10_000], [2, 5, 30])._replace(stage=stage, against=against)
        for against, count in (("samples", 2), ("resolution", 1), ("steps", 1), ("images", 4))
        for stage in [f"retrieve, further cells {n}" for n in range(count)]
    ]
    growth_figure.draw(curves, tmp_path / "growth.png")
    [figure] = drawn
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert {text.get_fontsize() for text in texts} == {8}
    corners = [corner for text in texts for corner in text.get_window_extent().corners()]
    assert all(figure.bbox.contains(*corner) for corner in corners)
    assert not figure.legends
    assert not any(axes.get_legend() for axes in figure.axes)
    beside = [text.get_text() for text in texts if text.get_position() == (6, 0)]
    assert sorted(beside) == sorted(f"{c.stage}: time ∝ n^{c.exponent:.2f}" for c in curves)
    names = {text.get_text() for text in texts}
    assert {"samples, log scale", "training images, log scale", "seconds, log scale"} <= names


@pytest.mark.slow
def test_every_curve_is_printed_written_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = grow(QUICK, tmp_path / "growth.json", tmp_path / "growth.png")
    lines = capsys.readouterr().out.splitlines()[1:]
    written = json.loads((tmp_path / "growth.json").read_text())
    busy = [line for line in lines if line.startswith("the machine was busy: ")]
    assert lines == [curve.text() for curve in found] + busy
    assert [row["exponent"] for row in written["curves"]] == [curve.exponent for curve in found]
    assert {(c.stage.split(",")[0], c.against) for c in found} == {
        ("sample", "samples"),
        ("features", "samples"),
        ("sample", "resolution"),
        ("sample", "steps"),
        ("prepare", "images"),
        ("evaluate", "images"),
        ("retrieve", "images"),
    }
    assert all(use.seconds > 0 and use.megabytes > 10 for c in found for use in c.uses)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png", ".svg", ".pdf"}


def test_only_the_size_that_is_named_changes() -> None:
    assert curve("work", _resolution, "samples", (5, 6)).uses[0].seconds == 32


def _resolution(case: Case, folder: Path) -> float:
    assert case._replace(samples=64) == Case()
    return float(case.resolution)
