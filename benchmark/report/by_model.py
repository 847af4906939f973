"""Plots with a line for each model: distances, and times of sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.core.values import Value
from benchmark.records.published import Key, Published, find_published
from benchmark.records.record import Cell
from benchmark.records.rows import Row, floor_of, in_table, name_of, rank_of, table_names
from benchmark.report import style
from benchmark.report.formats import BUSY
from benchmark.report.panels import distance_label, is_wide, no_distance_note, unique_handles

FLOOR_LABEL = "as many held-out images"

ON_BUSY = f"{BUSY} the machine was busy: compares with no other"

FLOOR_HEIGHT = 0.7  # of a line's


def distance_by_model(rows: Sequence[Row], published: dict[Key, Published]) -> Figure | None:
    """Draw the Fréchet distance of every cell and control, and before it the floor at its n."""

    def draw(axes: Axes, y: float, row: Row) -> None:
        assert row.distance
        _dot(axes, row.distance, y, row.cell)
        if floor := floor_of(row, rows):
            ends = [y - FLOOR_HEIGHT / 2, y + FLOOR_HEIGHT / 2]
            axes.plot([floor.value] * 2, ends, color=style.MUTED, lw=1.5, label=FLOOR_LABEL)
        figures = find_published(row.cell, published)
        if figures and figures.fid and distance_label(row) == "FID":
            axes.plot(float(figures.fid), y, "|", ms=11, color="black", label="published")

    measured = [row for row in rows if row.distance]
    figure = _by_model(measured, draw, lambda row: f"n = {_count(row)}")
    if figure is None:
        return no_distance_note(rows)
    for axes, name in zip(figure.axes, table_names(measured), strict=True):
        mine = in_table(measured, name)
        labels = dict.fromkeys(distance_label(row) for row in mine)
        axes.set_xlabel(f"{' / '.join(labels)} (lower is better)")
        if is_wide(mine):
            axes.set_xscale("log")
            style.plain_log(axes.xaxis)
        else:
            axes.set_xlim(left=0)
        _legend_above(axes)
    return figure


def time_by_model(rows: Sequence[Row]) -> Figure | None:
    """Draw the seconds per image of every cell: the median of its laps with its interval.

    Each timed batch stands behind it in grey, and a mark beside it where the machine was busy.
    """

    def draw(axes: Axes, y: float, row: Row) -> None:
        timing = row.sample.timing if row.sample else None
        assert timing
        batches = np.divide(timing.batch_seconds, timing.batch_images)
        axes.plot(batches, [y] * len(batches), "|", ms=11, color=style.MUTED, label="one batch")
        assert row.seconds
        _dot(axes, row.seconds, y, row.cell)
        if row.busy:
            right = max(row.seconds.high or 0.0, row.seconds.value, *batches)
            place, text = (right, y), f" {BUSY}"
            axes.annotate(text, place, xytext=(3, 0), textcoords="offset points", va="center")
            axes.plot([], [], " ", label=ON_BUSY)

    timed = [row for row in rows if row.seconds]
    figure = _by_model(timed, draw, lambda row: f"batch {_batch(row)}")
    if figure is None:
        return None
    for axes in figure.axes:
        axes.set_xscale("log")
        style.plain_log(axes.xaxis)
        axes.set_xlabel("sampling time in seconds per image")
        _legend_above(axes)
    return figure


Draw = Callable[[Axes, float, Row], None]

Detail = Callable[[Row], str]


def _by_model(rows: Sequence[Row], draw: Draw, detail: Detail) -> Figure | None:
    """Lay out a panel for each table, in it a line for the seeds of a cell, and each control."""
    panels = [(name, _by_line(in_table(rows, name), detail)) for name in table_names(rows)]
    if not panels:
        return None
    heights = [len(lines) * style.ROW + 0.9 for _, lines in panels]
    figure = Figure(figsize=(style.WIDTH, sum(heights)))
    axes = np.ravel(figure.subplots(len(panels), height_ratios=heights))
    for panel, (name, lines) in zip(axes, panels, strict=True):
        for y, seeds in enumerate(lines.values()):
            for shift, row in zip(_spread(len(seeds)), seeds, strict=True):
                draw(panel, y + shift, row)
        panel.set_yticks(range(len(lines)), list(lines))
        panel.set_ylim(len(lines) - 0.5, -0.5)
        panel.set_title(name)
        panel.grid(axis="y", visible=False)
    return figure


def _by_line(rows: Iterable[Row], detail: Detail) -> dict[str, list[Row]]:
    """Group cells that differ in their seed only, under the text that names them; then controls."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if not row.is_floor:
            lines.setdefault(f"{_title(row)}, {detail(row)}", []).append(row)
    return lines


def _spread(count: int) -> list[float]:
    """Return small shifts that set the seeds of one line apart."""
    return [(i - (count - 1) / 2) * 0.5 / count for i in range(count)]


def _title(row: Row) -> str:
    """Name a row in a plot."""
    if row.cell:
        return name_of(row.cell)
    assert row.control
    return f"control: {row.control.kind}"


def _count(row: Row) -> int | None:
    return row.protocol.n_fake if row.protocol else None


def _batch(row: Row) -> int | None:
    return row.sample.timing.batch if row.sample and row.sample.timing else None


def _dot(axes: Axes, value: Value, y: float, cell: Cell | None) -> None:
    """Draw a value with its interval in the colour of the cell's family, of a control in grey."""
    colour = style.colour(rank_of(cell)) if cell else style.MUTED
    if value.low is not None and value.high is not None:
        axes.plot([value.low, value.high], [y, y], color=colour, lw=1.2)
    axes.plot(value.value, y, style.marker(rank_of(cell)) if cell else "D", color=colour)


def _legend_above(axes: Axes) -> None:
    unique = unique_handles([axes])
    if unique:
        axes.legend(
            unique.values(),
            unique.keys(),
            ncols=len(unique),
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0.2,
        )
