from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_fixture import write_run

from benchmark.core.values import Value
from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect
from benchmark.report.charts import POINTS, Axis, bars, losses, smooth, trade_offs
from benchmark.report.pareto import pareto

positive = st.floats(0.001, 1e6)


@given(positive, st.floats(1.5, 1e5), st.booleans())
def test_ticks_are_round_numbers_in_their_places(low: float, factor: float, log: bool) -> None:
    axis = Axis("", low, low * factor, 50, 450, log)
    assert all(50 <= place <= 450 for place, _ in axis.ticks)
    for place, text in axis.ticks:
        assert axis.at(float(text.replace(",", ""))) == pytest.approx(place, abs=0.02)
    assert 2 <= len(axis.ticks) <= 9


def test_what_lies_outside_an_axis_stands_at_its_end() -> None:
    axis = Axis("", 1, 100, 0, 10, log=True)
    assert [axis.at(x) for x in (-5, 1, 10, 100, 1000)] == [0, 0, 5, 10, 10]


def rows(tmp_path: Path) -> list[Row]:
    return collect(read_records(write_run(tmp_path).root))


def test_distances_stand_at_the_largest_number_of_images_that_all_have(tmp_path: Path) -> None:
    time, evaluations = trade_offs(rows(tmp_path))
    assert time.y.label == evaluations.y.label == "FD-EffNetLite0 of 16 images (lower is better)"
    assert len(time.points) == len(evaluations.points) == 10
    four = collect(read_records(write_run(tmp_path / "four", cells=4).root))
    assert {chart.y.label.split()[2] for chart in trade_offs(four)} == {"64"}


def test_the_front_is_that_of_the_plots(tmp_path: Path) -> None:
    time, _ = trade_offs(rows(tmp_path))
    # Places grow downwards, and so fall with the distance.
    wanted = pareto([(point.x, -point.y) for point in time.points])
    assert {(p.x, -p.y) for p in time.points if p.front} == set(wanted)
    assert time.best[-1] == "SBGM-SDE ve predictor-corrector 2000, pretrained"


def test_an_sde_step_of_two_evaluations_counts_twice(tmp_path: Path) -> None:
    _, evaluations = trade_offs(rows(tmp_path))
    [sde] = [point for point in evaluations.points if point.name.startswith("SBGM")]
    assert sde.x == evaluations.x.at(4000)


def test_cells_on_other_real_images_have_a_chart_of_their_own(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    path = run.record("metrics", "ncsn-zoo-geometric-annealed-langevin-1000-s0")
    path.write_text(path.read_text().replace("1" * 64, "2" * 64))
    charts = trade_offs(collect(read_records(run.root)))
    assert [len(chart.points) for chart in charts] == [9, 9, 1, 1]


def test_curves_are_means_of_at_most_so_many_points(tmp_path: Path) -> None:
    steps, loss = list(range(1000)), [float(i % 2) for i in range(1000)]
    x, y = smooth(steps, loss)
    assert len(x) <= POINTS
    assert all(0.45 < value < 0.55 for value in y)
    chart = losses(read_records(write_run(tmp_path).root))
    assert chart
    assert [curve.name for curve in chart.curves] == [
        "ddim-cosine",
        "ddim-linear",
        "ddpm-cosine",
        "ddpm-linear",
    ]


def test_a_run_without_trainings_has_no_curves() -> None:
    assert losses([]) is None


def test_the_longest_bar_fills_the_track() -> None:
    short, long = Value(value=5.0), Value(value=20.0, low=18.0, high=23.0)
    found = bars([("a", short, False, 0), ("b", long, True, 1)])
    assert [bar.share for bar in found] == [25, 100]
    assert [bar.text for bar in found] == ["5.00 s", "20.0 [18.0, 23.0] s ‡"]
