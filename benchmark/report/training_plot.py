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
from benchmark.report.guidance_plot import line_of
from benchmark.report.panels import FLOOR, draw_interval, ends, no_distance_note, scale
from benchmark.report.saving import tell

HEIGHT = 2.6  # inches of a row of panels
COSTS = ("steps of the training", "seconds of the training")


class _Point(NamedTuple):
    """A state of a training: its cell, what it cost by `COSTS`, and its distance."""

    cell: Cell
    costs: tuple[float, float | None]
    distance: Value


def distance_against_training(rows: Sequence[Row]) -> Figure | None:
    """Draw the distance of states of trainings and of the finished networks; None: none was kept.

    All distances of a row of panels are of equally many images, and the floor is behind them.
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
    names = {name for group in found for name in _lines(group)}
    figure = Figure(figsize=(style.WIDTH, HEIGHT * len(found) + 0.2 * len(names) + 0.3))
    panels = figure.subplots(len(found), 2, squeeze=False, sharey="row")
    for pair, group in zip(panels, found, strict=True):
        _draw(pair, group, rows)
    shown = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        if not label.startswith("95 %")
    }
    figure.legend(shown.values(), shown.keys(), loc="outside lower center")
    return figure


def _lines(group: Sequence[Row]) -> dict[str, list[_Point]]:
    """Return the states of each training by a name of what is sampled, in order of their steps."""
    n = common_size(group)
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
    lines = {name: line for name, line in lines.items() if len(line) > 1}
    for line in lines.values():
        line.sort(key=lambda point: point.costs[0])
    return lines


def _draw(pair: Sequence[Axes], group: Sequence[Row], rows: Sequence[Row]) -> None:
    """Draw the lines of a group against steps, and against seconds."""
    n, lines, first = common_size(group), _lines(group), group[0]
    floor = floor_of(first, rows, n)
    assert first.protocol
    for number, (axes, label) in enumerate(zip(pair, COSTS, strict=True)):
        for index, (name, line) in enumerate(lines.items()):
            _line(axes, name, line, number, index)
        if floor:
            axes.axhspan(*ends(floor), color=style.BAND, lw=0, zorder=0, label=FLOOR)
            axes.axhline(floor.value, color=style.MUTED, lw=0.6, zorder=0)
        axes.set(xlabel=label, title=first.dataset if number == 0 else "")
        axes.set_xlim(left=0)
    values = [point.distance for line in lines.values() for point in line]
    kind = scale(pair[0], "y", [*values, floor] if floor else values)
    pair[0].set_ylabel(f"{first.protocol.label} of {n} images\n(lower is better, {kind})")


def _line(axes: Axes, name: str, line: Sequence[_Point], number: int, index: int) -> None:
    known = [(cost, point) for point in line if (cost := point.costs[number]) is not None]
    if not known:
        return
    x, y = [cost for cost, _ in known], [point.distance.value for _, point in known]
    colour = style.colour(index)
    marks = {"marker": style.marker(index), "ls": style.line(index), "label": name}
    [drawn] = axes.plot(x, y, color=colour, lw=1, **marks)  # type: ignore[arg-type]
    told = [f"{cost:.4g}: {point.distance.value:.4g}" for cost, point in known]
    tell(drawn, "\n".join([name, *told]))
    for cost, point in known:
        draw_interval(axes, point.distance, x=cost, color=colour, lw=0.8)
