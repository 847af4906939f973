"""The plot of what guidance does: distance, accuracy, precision and recall against its scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.core.values import Value
from benchmark.records.record import Cell
from benchmark.records.rows import Row, common_size, metric_options
from benchmark.report import style
from benchmark.report.classes_table import accuracy_of
from benchmark.report.named_lines import draw_lines, line_of, names_of
from benchmark.report.panels import (
    AROUND,
    REAL,
    draw_band,
    draw_head,
    legend,
    no_distance_note,
    scale,
    tallness,
)

DISTANCE, ACCURACY = "distance", "accuracy"
KINDS = ("precision", "recall")  # of metrics that are drawn where a config has them


class _Point(NamedTuple):
    """A cell and its figures, by the name of the panel."""

    cell: Cell
    figures: dict[str, Value]

    @property
    def scale(self) -> float:
        return self.cell.guidance or 0.0


def guidance_plot(rows: Sequence[Row]) -> Figure | None:
    """Draw figures of every network and sampler against the scale; None: no cell states one.

    All distances are of equally many images, as many as most of the cells have. Kept states and
    raw weights of a training are left out. What held-out
    images reach is behind the lines, whose names stand at their ends.
    """
    guided = [
        row for row in rows if row.cell and row.cell.guidance is not None and not row.cell.is_state
    ]
    n = common_size(guided)
    points = [_Point(row.cell, _figures(row, n)) for row in guided if row.cell]
    panels = list(dict.fromkeys(name for point in points for name in point.figures))
    if not panels:
        return no_distance_note(guided)
    lines = _lines(points)
    common, names = names_of([line[0].cell for line in lines])
    height = (tallness(len(lines)) + AROUND) * len(panels) + 0.4
    figure = Figure(figsize=(style.WIDTH, height))
    real = next((_figures(row, n) for row in rows if row.is_floor), {})
    labels = dict.fromkeys(row.protocol.label for row in guided if row.protocol)
    titles = {DISTANCE: f"{' / '.join(labels)} of {n} images"}
    for axes, name in zip(figure.subplots(len(panels), squeeze=False).flat, panels, strict=True):
        draw_head(axes, titles.get(name, name), common)
        _panel(axes, name, dict(zip(names, lines, strict=True)), real.get(name))
    legend(figure)
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


def _lines(points: Iterable[_Point]) -> list[list[_Point]]:
    """Return the points of each network, sampler, steps and seed in order of scale."""
    lines: dict[str, list[_Point]] = {}
    for point in points:
        lines.setdefault(line_of(point.cell), []).append(point)
    return [sorted(line, key=lambda point: point.scale) for line in lines.values()]


def _panel(axes: Axes, name: str, lines: dict[str, list[_Point]], real: Value | None) -> None:
    found = {
        label: [(point.scale, point.figures[name]) for point in line if name in point.figures]
        for label, line in lines.items()
    }
    values = [value for points in found.values() for _, value in points]
    kind = scale(axes, "y", [*values, real] if real else values)
    better = "lower" if name == DISTANCE else "higher"
    axes.set(ylabel=f"{name}\n({better} is better, {kind})")
    axes.set_xlabel("scale w of the guidance, linear scale")
    draw_band(axes, real, REAL)
    draw_lines(axes, found, "w =")
