"""Plots with a line for each model: distances, and times of sampling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.core.values import Value
from benchmark.records.published import Key, Published, find_published
from benchmark.records.rows import (
    REPORTED,
    Row,
    common_size,
    floor_of,
    in_table,
    name_of,
    rank_of,
    table_names,
)
from benchmark.records.timing import Timing
from benchmark.report import style
from benchmark.report.chosen import chosen_rows, left_out
from benchmark.report.formats import BUSY
from benchmark.report.panels import (
    BAR,
    BATCH,
    FLOOR,
    ON_BUSY,
    PUBLISHED,
    distance_label,
    draw_interval,
    ends,
    legend,
    no_distance_note,
    scale,
)
from benchmark.report.saving import tell
from benchmark.report.verdict_tables import interval


def distance_by_model(rows: Sequence[Row], published: dict[Key, Published]) -> Figure | None:
    """Draw the Fréchet distance of every cell and control, and behind it the floor as a band.

    All distances of a panel are of equally many images, as many as most of its rows have.
    """
    found = [row for row in rows if row.distance]
    measured = chosen_rows(found)
    sizes = {name: common_size(in_table(measured, name)) or 0 for name in table_names(measured)}
    numbers = _numbers(rows)

    def draw(axes: Axes, y: float, row: Row, line: str) -> None:
        n = sizes[str(axes.get_label())]
        if floor := floor_of(row, rows, n):
            low, high = ends(floor)
            axes.barh(y, high - low, 1.02, low, color=style.BAND, lw=0, zorder=0, label=FLOOR)
            axes.plot([floor.value] * 2, [y - 0.5, y + 0.5], color=style.MUTED, lw=0.6, zorder=0)
        if n in row.distances:
            _dot(axes, row.distances[n], y, row, line, numbers)
        else:
            text = f"not measured at n = {n}"
            axes.annotate(text, (0.01, y), xycoords=("axes fraction", "data"), va="center")
        if fid := _published_fid(row, published):
            axes.plot(fid.value, y, label=PUBLISHED, **{**BAR, "color": style.INK})

    figure = _by_model(measured, draw, lambda _: [])
    if figure is None:
        return no_distance_note(rows)
    for axes in figure.axes:
        name = str(axes.get_label())
        mine, n = in_table(measured, name), sizes[name]
        values = [row.distances[n] for row in mine if n in row.distances]
        values += [fid for row in mine if (fid := _published_fid(row, published))]
        labels = dict.fromkeys(distance_label(row) for row in mine)
        of = f"{' / '.join(labels)} of {n} images"
        axes.set_xlabel(f"{of} (lower is better), {scale(axes, 'x', values)}")
    _finish(figure, measured, found)
    return figure


def time_by_model(rows: Sequence[Row]) -> Figure | None:
    """Draw the seconds per image of every cell: the median of its laps with its interval.

    Each timed batch stands behind it in grey, and a mark beside it where the machine was busy.
    """
    numbers = _numbers(rows)

    def draw(axes: Axes, y: float, row: Row, line: str) -> None:
        assert row.seconds
        axes.plot(_batches(row), [y] * len(_batches(row)), label=BATCH, **BAR)
        _dot(axes, row.seconds, y, row, line, numbers, " s")
        if row.busy:
            place, text = (max(*_batches(row), *ends(row.seconds)), y), f" {BUSY}"
            axes.annotate(text, place, xytext=(3, 0), textcoords="offset points", va="center")

    found = [row for row in rows if row.seconds]
    timed = chosen_rows(found)
    figure = _by_model(timed, draw, lambda row: [f"batch {_timing(row).batch}"])
    if figure is None:
        return None
    for axes in figure.axes:
        mine = in_table(timed, str(axes.get_label()))
        times = [row.seconds for row in mine if row.seconds]
        times += [Value(value=time) for row in mine for time in _batches(row)]
        axes.set_xlabel(f"seconds per image, {scale(axes, 'x', times)}")
    _finish(figure, timed, found)
    return figure


def _finish(figure: Figure, shown: Sequence[Row], found: Sequence[Row]) -> None:
    """Draw the legend, and say which cells are shown where not all are."""
    legend(figure)
    drawn, known = (sum(row.cell is not None for row in rows) for rows in (shown, found))
    if which := left_out(drawn, known):
        figure.suptitle(which)


Draw = Callable[[Axes, float, Row, str], None]

Details = Callable[[Row], list[str]]


def _by_model(rows: Sequence[Row], draw: Draw, details: Details) -> Figure | None:
    """Lay out a panel for each table, in it a line for the seeds of a cell, and each control."""
    panels = [(name, _by_line(in_table(rows, name), details)) for name in table_names(rows)]
    if not panels:
        return None
    heights = [len(lines) * style.ROW + 0.9 for _, lines in panels]
    figure = Figure(figsize=(style.WIDTH, sum(heights) + 0.4))
    axes = np.ravel(figure.subplots(len(panels), height_ratios=heights))
    for panel, (name, lines) in zip(axes, panels, strict=True):
        panel.set_label(name)
        for y, (line, seeds) in enumerate(lines.items()):
            for shift, row in zip(_spread(len(seeds)), seeds, strict=True):
                draw(panel, y + shift, row, line)
        panel.set_yticks(range(len(lines)), list(lines))
        panel.set_ylim(len(lines) - 0.5, -0.5)
        panel.set_title(name)
        panel.grid(axis="y", visible=False)
    return figure


def _by_line(rows: Iterable[Row], details: Details) -> dict[str, list[Row]]:
    """Group cells that differ in their seed only, under the text that names them; then controls.

    The model is named where another of the same family has the same settings.
    """
    shown = [row for row in rows if not row.is_floor]
    models = Counter(title for title, _ in {(_title(r), r.cell and r.cell.model) for r in shown})
    lines: dict[str, list[Row]] = {}
    for row in shown:
        title = _title(row)
        model = [row.cell.model] if row.cell and models[title] > 1 else []
        lines.setdefault(", ".join([title, *model, *details(row)]), []).append(row)
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


def _published_fid(row: Row, published: dict[Key, Published]) -> Value | None:
    """Return the FID that the report gives for a row, where ours is one too."""
    figures = find_published(row.cell, published)
    if figures is None or not figures.fid or distance_label(row) != "FID":
        return None
    return Value(value=float(figures.fid))


def _timing(row: Row) -> Timing:
    assert row.sample
    assert row.sample.timing
    return row.sample.timing


def _batches(row: Row) -> list[float]:
    """Return the seconds per image of each timed batch."""
    timing = _timing(row)
    return [float(rate) for rate in np.divide(timing.batch_seconds, timing.batch_images)]


def _numbers(rows: Iterable[Row]) -> dict[str, int]:
    """Return the number of each family, which decides its look: of the report's their rank."""
    found: dict[str, int] = {}
    for cell in (row.cell for row in rows if row.cell):
        rank = rank_of(cell)
        others = sum(number >= rank for number in found.values())
        found.setdefault(cell.family, rank if cell.family in REPORTED else rank + others)
    return found


def _dot(
    axes: Axes,
    value: Value,
    y: float,
    row: Row,
    name: str,
    numbers: dict[str, int],
    unit: str = "",
) -> None:
    """Draw a value with its interval in the colour of the cell's family, of a control in grey."""
    number = numbers[row.cell.family] if row.cell else None
    colour = style.MUTED if number is None else style.colour(number)
    draw_interval(axes, value, y=y, color=colour, lw=1.2)
    marker = "D" if number is None else style.marker(number)
    [mark] = axes.plot(value.value, y, marker, color=colour)
    is_busy = bool(unit and row.busy)
    mark.set_label(ON_BUSY if is_busy else "")
    tell(mark, f"{name}\n{interval(value)}{unit}{f' {BUSY}' * is_busy}")
