"""What the plots of quality and cost show, before it is drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from records_fixture import write_run

from benchmark.metrics.uncertainty import across_seeds
from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect, seconds_per_image, title_of
from benchmark.report.pareto import pareto
from benchmark.report.planes import CostPoint, Plane, evaluations, planes, seconds


def rows(root: Path, cells: int = 10) -> list[Row]:
    return collect(read_records(write_run(root, cells).root))


def test_distances_stand_at_the_number_of_images_that_most_have(tmp_path: Path) -> None:
    for cost in (seconds, evaluations):
        [plane] = planes(rows(tmp_path), cost)
        assert (plane.label, plane.n, len(plane.points)) == ("FD-EffNetLite0", 16, 10)
        assert plane.floor
        assert plane.floor.value == pytest.approx(41.27 + 400 / 16)
    [four] = planes(rows(tmp_path / "four", cells=4), seconds)
    assert four.n == 64


def test_what_is_not_measured_at_this_number_of_images_is_named(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert found[0].metrics
    found[0].metrics.sized.clear()
    [plane] = planes(found, seconds)
    assert len(plane.points) == 9
    assert plane.left_out == ["DDPM cosine 1000"]


def test_the_front_is_what_no_other_point_beats(tmp_path: Path) -> None:
    [plane] = planes(rows(tmp_path), seconds)
    assert plane.front == set(pareto([point.place for point in plane.points]))
    best = [point for point in plane.points if point.place in plane.front]
    last = max(best, key=lambda point: point.cost.value)
    assert title_of(last.cell) == "SBGM-SDE ve predictor-corrector 2000, pretrained"


def test_an_sde_step_of_two_evaluations_counts_twice(tmp_path: Path) -> None:
    [plane] = planes(rows(tmp_path), evaluations)
    [[sde]] = [line.points for line in plane.families["SBGM-SDE"]]
    assert sde.cost.value == 4000


def test_cells_on_other_real_images_have_a_plane_of_their_own(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    path = run.record("metrics", "ncsn-zoo-geometric-annealed-langevin-1000-s0")
    path.write_text(path.read_text().replace("1" * 64, "2" * 64))
    found = planes(collect(read_records(run.root)), seconds)
    assert [len(plane.points) for plane in found] == [9, 1]


def test_a_line_joins_the_steps_of_one_sampler_on_one_network(tmp_path: Path) -> None:
    [plane] = planes(rows(tmp_path), evaluations)
    assert list(plane.families) == ["DDPM", "DDIM", "NCSN", "SBGM-SDE"]
    found = {(line.cell.schedule, line.cell.weights): line.steps for line in plane.families["DDPM"]}
    assert found == {
        ("cosine", "from-scratch"): "1000",
        ("linear", "from-scratch"): "1000",
        ("linear", "pretrained"): "50/1000",
    }


def test_seeds_are_one_point_with_the_mean_of_their_distances(tmp_path: Path) -> None:
    first, *others = rows(tmp_path)
    assert first.cell
    assert first.metrics
    values = {n: v.model_copy(update={"value": v.value + 8}) for n, v in first.distances.items()}
    metrics = first.metrics.model_copy(update={"sized": values})
    cell = first.cell.model_copy(update={"seed": 1, "id": "other"})
    second = dataclasses.replace(first, cell=cell, metrics=metrics)
    [plane] = planes([first, second, *others], seconds)
    assert len(plane.points) == 10
    point = point_of(plane, "DDPM cosine 1000")
    assert point.distance == across_seeds([first.distances[16], second.distances[16]])
    assert first.sample
    assert first.sample.timing
    assert point.cost == seconds_per_image([first.sample.timing] * 2)
    assert point.text.startswith("DDPM cosine 1000, 2 seeds\ndistance 145 [")


def point_of(plane: Plane, name: str) -> CostPoint:
    return next(point for point in plane.points if title_of(point.cell) == name)
