"""The plot of the distance against how long a network was trained: in steps, and in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.core.values import Value
from benchmark.records.record import Cell
from benchmark.records.rows import Row, common_size, comparable, floor_of, seconds_of_training
from benchmark.report import style
from benchmark.report.named_lines import draw_lines, line_of, names_of
from benchmark.report.panels import (
    AROUND,
    draw_band,
    draw_head,
    legend,
    no_distance_note,
    scale,
    tallness,
)

COSTS = ("steps of the training", "seconds of the training")


class _Point(NamedTuple):
    """A state of a training: its cell, what it cost by `COSTS`, and its distance."""

    cell: Cell
    costs: tuple[float, float | None]
    distance: Value


def distance_against_training(rows: Sequence[Row]) -> Figure | None:
    """Draw the distance of states of trainings and of the finished networks; None: none was kept.

    All distances of a group are of equally many images, and the floor is behind them; the names of
    lines stand at their ends.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if not row.cell or row.cell.task or row.cell.raw:
            continue
        if row.training and row.distances:
            groups.setdefault((*comparable(row), row.cell.resolution), []).append(row)
    found = [g for g in groups.values() if any(r.cell and r.cell.trained_steps for r in g)]
    if not found:
        kept = (row for row in rows if row.cell and row.cell.trained_steps and not row.cell.task)
        return no_distance_note(kept)
    panels = [(group, cost) for group in found for cost in COSTS if _known(group, cost)]
    heights = [tallness(len(_lines(group))) + AROUND for group, _ in panels]
    figure = Figure(figsize=(style.WIDTH, sum(heights) + 0.4))
    parts = figure.subplots(len(heights), squeeze=False, height_ratios=heights).flat
    for axes, (group, cost) in zip(parts, panels, strict=True):
        _draw(axes, group, rows, cost)
    legend(figure)
    return figure


def _known(group: Sequence[Row], cost: str) -> list[list[tuple[float, Value]]]:
    """Return the cost and the distance of the states of each training whose cost is known."""
    at = COSTS.index(cost)
    known = [
        [(x, point.distance) for point in line if (x := point.costs[at]) is not None]
        for line in _lines(group)
    ]
    return known if any(known) else []


def _lines(group: Sequence[Row]) -> list[list[_Point]]:
    """Return the states of each training, and the finished network, in order of their steps."""
    n = _size(group)
    lines: dict[str, list[_Point]] = {}
    for row in group:
        assert row.cell
        assert row.training
        assert row.training.curve
        steps = row.cell.trained_steps or row.training.curve.steps[-1]
        if n is None or n not in row.distances:
            continue
        point = _Point(row.cell, (steps, seconds_of_training(row)), row.distances[n])
        lines.setdefault(line_of(row.cell), []).append(point)
    return [
        sorted(line, key=lambda point: point.costs[0])
        for line in lines.values()
        if any(point.cell.trained_steps for point in line)
    ]


def _size(group: Sequence[Row]) -> int | None:
    """Return the number of images at which most states are measured."""
    return common_size([row for row in group if row.cell and row.cell.trained_steps])


def _draw(axes: Axes, group: Sequence[Row], rows: Sequence[Row], cost: str) -> None:
    """Draw the lines of a group against what their states cost."""
    n, first = _size(group), group[0]
    floor = floor_of(first, rows, n)
    assert first.protocol
    common, names = names_of([line[0].cell for line in _lines(group)])
    draw_head(axes, first.dataset, common)
    lines = _known(group, cost)
    values = [distance for line in lines for _, distance in line]
    kind = scale(axes, "y", [*values, floor] if floor else values)
    axes.set_xlabel(f"{cost}, linear scale")
    axes.set_ylabel(f"{first.protocol.label} of {n} images\n(lower is better, {kind})")
    draw_band(axes, floor)
    draw_lines(axes, dict(zip(names, lines, strict=True)), cost.split()[0])
    axes.set_xlim(left=0)
