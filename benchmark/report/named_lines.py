"""What plots of lines by cell have in common: their names, and a panel with a line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from benchmark.core.values import Value
from benchmark.records.record import Cell
from benchmark.records.rows import steps_text
from benchmark.report import style
from benchmark.report.panels import End, draw_interval, name_ends, tallness, told_apart
from benchmark.report.saving import tell

Points = Sequence[tuple[float, Value]]


def line_facts(cell: Cell) -> dict[str, str]:
    """Return what tells lines of cells apart that differ in one thing alone, by what it is."""
    return {
        "model": cell.model,
        "schedule": cell.schedule or "",
        "sampler": cell.sampler or "",
        "steps": steps_text(cell.sampling.steps),
        "classifier": f"by {cell.classifier}" if cell.classifier else "",
        "task": cell.task.label if cell.task else "",
        "seed": f"seed {cell.seed}" if cell.seed else "",
    }


def line_of(cell: Cell) -> str:
    """Name what cells have in common that differ in one thing alone."""
    return ", ".join(filter(None, line_facts(cell).values()))


def names_of(cells: Sequence[Cell]) -> tuple[str, list[str]]:
    """Return what lines have in common, and what tells each from the others, by a cell of each."""
    common, names = told_apart([line_facts(cell) for cell in cells], keep="model")
    return ", ".join(common), names


def draw_lines(axes: Axes, lines: Mapping[str, Points], text: str) -> None:
    """Draw a line with intervals through the points of each name, and name it at its end.

    Args:
        axes: the plot, whose vertical limits are final.
        lines: the points, in order; a line without any keeps its look for other plots.
        text: what a number on the horizontal axis is called where a line is hovered.
    """
    named = []
    for index, (name, points) in enumerate(lines.items()):
        if not points:
            continue
        look: dict[str, Any] = {"color": style.colour(index), "marker": style.marker(index)}
        x, y = [at for at, _ in points], [value.value for _, value in points]
        [line] = axes.plot(x, y, ls=style.line(index), lw=1, **look)
        told = [f"{text} {at:.4g}: {value.value:.4g}" for at, value in points]
        tell(line, "\n".join([name, *told]))
        for at, value in points:
            draw_interval(axes, value, x=at, color=style.colour(index), lw=0.8)
        named.append(End(x[-1], y[-1], name, {**look, "ls": ""}))
    name_ends(axes, named, tallness(len(named)))
