"""The plot of what guidance does: distance, accuracy, precision and recall against its scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.core.values import Value
from benchmark.records.record import Cell
from benchmark.records.rows import Row, common_size, metric_options, steps_text
from benchmark.report import style
from benchmark.report.classes_table import accuracy_of
from benchmark.report.panels import no_distance_note
from benchmark.report.saving import tell

HEIGHT = 2.3  # inches of a panel
DISTANCE, ACCURACY = "distance", "accuracy"
KINDS = ("precision", "recall")  # of metrics that are drawn where a config has them


class _Point(NamedTuple):
    """A cell and its figures, by the name of the panel."""

    cell: Cell
    figures: dict[str, Value]


def guidance_plot(rows: Sequence[Row]) -> Figure | None:
    """Draw figures of every network and sampler against the scale; None: no cell states one.

    All distances are of equally many images, as many as most of the cells have.
    """
    guided = [row for row in rows if row.cell and row.cell.guidance is not None]
    n = common_size(guided)
    points = [_Point(row.cell, _figures(row, n)) for row in guided if row.cell]
    panels = list(dict.fromkeys(name for point in points for name in point.figures))
    if not panels:
        return no_distance_note(guided)
    lines = _lines(points)
    columns = min(2, len(panels))
    height = -(-len(panels) // columns)
    figure = Figure(figsize=(style.WIDTH, HEIGHT * height + 0.3 * len(lines) + 0.3))
    grid = figure.subplots(height, columns, squeeze=False)
    real = next((_figures(row, n) for row in rows if row.is_floor), {})
    for axes, name in zip(grid.flat, panels, strict=False):
        _panel(axes, name, lines, real.get(name))
        if name == DISTANCE:
            labels = dict.fromkeys(row.protocol.label for row in guided if row.protocol)
            axes.set_title(f"{' / '.join(labels)} of {n} images")
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center")
    return figure


def _figures(row: Row, n: int | None) -> dict[str, Value]:
    """Return the figures of a row that are drawn, the distance at n, by the name of their panel."""
    record = row.metrics
    if record is None:
        return {}
    found = {DISTANCE: row.distances[n]} if n in row.distances else {}
    if record.by_class:
        found[ACCURACY] = accuracy_of(record.by_class.values())
    for name, value in record.values.items():
        if (kind := metric_options(record, name)["kind"]) in KINDS:
            found[kind] = value
    return found


def _lines(points: Iterable[_Point]) -> dict[str, list[_Point]]:
    """Return the points of each network, sampler, steps and seed by a name, in order of scale."""
    lines: dict[str, list[_Point]] = {}
    for point in points:
        lines.setdefault(line_of(point.cell), []).append(point)
    for line in lines.values():
        line.sort(key=lambda point: point.cell.guidance or 0)
    return lines


def line_of(cell: Cell) -> str:
    """Name what cells have in common that differ in the scale of their guidance alone."""
    name = f"{cell.model}, {cell.schedule}, {cell.sampler}, {steps_text(cell.sampling.steps)}"
    name = f"{name}, by {cell.classifier}" if cell.classifier else name
    name = f"{name}, {cell.task.label}" if cell.task else name
    return f"{name}, seed {cell.seed}" if cell.seed else name


def _panel(axes: Axes, name: str, lines: dict[str, list[_Point]], real: Value | None) -> None:
    for index, (label, line) in enumerate(lines.items()):
        found = [(p.cell.guidance or 0.0, p.figures[name]) for p in line if name in p.figures]
        x, y = [scale for scale, _ in found], [value.value for _, value in found]
        look = {"color": style.colour(index), "marker": style.marker(index), "label": label}
        [drawn] = axes.plot(x, y, **look)  # type: ignore[arg-type]
        told = "\n".join(f"w = {scale:g}: {value.value:.3g}" for scale, value in found)
        tell(drawn, f"{label}\n{name}\n{told}")
        ends = [(s, v) for s, v in found if v.low is not None and v.high is not None]
        axes.vlines(
            [scale for scale, _ in ends],
            [value.low or 0.0 for _, value in ends],
            [value.high or 0.0 for _, value in ends],
            color=style.colour(index),
            lw=0.8,
        )
    if real is not None:
        axes.axhline(real.value, color="0.5", lw=0.8, ls="--", label="held-out images")
    axes.set(title=name, xlabel="scale w of the guidance")
