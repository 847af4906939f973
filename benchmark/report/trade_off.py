"""Plots of distance against what an image costs: a panel for each family, in it named lines."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import NullLocator

from benchmark.records.rows import Row
from benchmark.report import style
from benchmark.report.panels import (
    AROUND,
    BEST,
    FINE,
    ON_BUSY,
    RING,
    End,
    Subs,
    draw_band,
    draw_head,
    draw_interval,
    legend,
    name_ends,
    no_distance_note,
    scale,
    tallness,
    told_apart,
)
from benchmark.report.planes import Cost, CostLine, Plane, evaluations, planes, seconds
from benchmark.report.saving import tell

BESIDE = 0.9  # inches of names around all panels of a plane
LETTER = 0.071  # inches of a digit
WIDTHS = {1: 4.5, 2: 1.4}  # inches of a panel at least, by the panels beside each other
SIDE_BY_SIDE = 8  # lines of a family at most where two panels stand beside each other
EVALUATIONS, SECONDS = "network evaluations per image", "seconds per image"


def distance_against_evaluations(rows: Sequence[Row]) -> Figure | None:
    """Draw distance against network evaluations per image; see `_draw`."""
    return _draw(rows, evaluations, EVALUATIONS)


def distance_against_time(rows: Sequence[Row]) -> Figure | None:
    """Draw distance against seconds per image; see `_draw`."""
    return _draw(rows, seconds, SECONDS)


def _draw(rows: Sequence[Row], cost: Cost, label: str) -> Figure | None:
    """Draw a panel for each family of each plane, all of a plane on the same axes.

    All distances of a plane are of equally many images. A line joins the points of one sampler on
    one network by their steps; its name stands beside the panel, and what all lines of a panel have
    in common stands above it. A ring is around the points to which no other
    of the plane is at least equal in both.
    """
    found = planes(rows, cost)
    if not found:
        return no_distance_note(row for row in rows if row.sample)
    heights = [sum(height + AROUND for height in _heights(plane)) + BESIDE for plane in found]
    figure = Figure(figsize=(style.WIDTH, sum(heights) + 0.4))
    parts = figure.subfigures(len(found), squeeze=False, height_ratios=heights).flat
    for part, plane in zip(parts, found, strict=True):
        _draw_plane(part, plane, label)
    legend(figure)
    return figure


def _columns(plane: Plane) -> int:
    crowded = any(len(lines) > SIDE_BY_SIDE for lines in plane.families.values())
    return 1 if crowded else min(2, len(plane.families))


def _heights(plane: Plane) -> list[float]:
    """Return the inches of each row of panels, without titles and numbers."""
    counts = [len(lines) for lines in plane.families.values()]
    columns = _columns(plane)
    rows = [counts[i : i + columns] for i in range(0, len(counts), columns)]
    return [tallness(max(row)) for row in rows]


def _draw_plane(part: SubFigure, plane: Plane, label: str) -> None:
    heights, columns = _heights(plane), _columns(plane)
    ratios = [height + AROUND for height in heights]
    panels = part.subplots(
        len(heights), columns, sharey=True, squeeze=False, height_ratios=ratios
    ).ravel()
    for axes in panels[len(plane.families) :]:
        axes.remove()
    shown = list(zip(panels, plane.families, strict=False))
    told = [_scale_costs(axes, plane, family, label) for axes, family in shown]
    _frame(part, panels[0], plane, f"{label}, {told[0]}")
    colours: dict[str, int] = {}
    for number, (axes, family) in enumerate(shown):
        axes.tick_params(labelleft=True)
        _draw_family(axes, plane, family, colours, heights[number // columns])


def _frame(part: SubFigure, axes: Axes, plane: Plane, label: str) -> None:
    """Set the distances that all panels of a plane share, and say what is on their axes."""
    distances = [point.distance for point in plane.points]
    y = scale(axes, "y", distances + ([plane.floor] if plane.floor else []))
    part.suptitle(plane.data, x=0.01, ha="left", fontweight="bold")
    part.supylabel(f"{plane.label} of {plane.n} images\n(lower is better, {y})")
    left_out = f"Not measured at n = {plane.n}: {'; '.join(plane.left_out)}"
    below = textwrap.wrap(left_out, 110) if plane.left_out else []
    part.supxlabel("\n".join([label, *below]))


def _scale_costs(axes: Axes, plane: Plane, family: str, label: str) -> str:
    """Set the costs of a panel, the same for a whole plane, and return the name of their scale.

    Numbers of evaluations that occur are named, those of the family first.
    """
    columns = _columns(plane)
    few: Subs = FINE if columns == 1 else (1,)
    told = scale(axes, "x", [point.cost for point in plane.points], few)
    if label == EVALUATIONS:
        own = Counter(point.cost.value for line in plane.families[family] for point in line.points)
        others = Counter(point.cost.value for point in plane.points)
        _name_each(axes, [*_usual(own), *_usual(others)], WIDTHS[columns])
    return told


def _usual(numbers: Counter[float]) -> list[float]:
    return sorted(numbers, key=lambda number: (-numbers[number], number))


def _name_each(axes: Axes, numbers: Sequence[float], width: float) -> None:
    """Name numbers on an axis, so many inches wide, where earlier ones leave room."""
    place = axes.transData - axes.transAxes
    named: dict[str, tuple[float, float]] = {}
    for number in numbers:
        text, at = f"{number:,g}", float(place.transform((number, 1))[0]) * width
        if all(
            abs(at - x) > LETTER * (len(text) + len(t) + 0.5) / 2 for t, (_, x) in named.items()
        ):
            named[text] = number, at
    axes.set_xticks([number for number, _ in named.values()], list(named))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_family(
    axes: Axes, plane: Plane, family: str, colours: dict[str, int], height: float
) -> None:
    """Draw the lines of a family.

    Args:
        axes: the panel.
        plane: the plane that has the family.
        family: its name.
        colours: the number of each name in the plane, to which new names are added.
        height: inches of the panel.
    """
    lines = plane.families[family]
    common, names = _names(lines)
    draw_head(axes, family, common, _columns(plane))
    draw_band(axes, plane.floor)
    named = []
    for line, (name, steps) in zip(lines, names, strict=True):
        index = colours.setdefault(name, len(colours))
        _draw_line(axes, line, plane, index)
        text = ", ".join(filter(None, [name, steps]))
        named.append(End(*line.points[-1].place, text, _look(index)))
    name_ends(axes, named, height)


def _draw_line(axes: Axes, line: CostLine, plane: Plane, index: int) -> None:
    colour = style.colour(index)
    if len(line.points) > 1:
        places = zip(*(point.place for point in line.points), strict=True)
        axes.plot(*places, color=colour, ls=style.line(index), lw=1)
    for point in line.points:
        x, y = point.place
        draw_interval(axes, point.distance, x=x, color=colour, lw=0.8)
        draw_interval(axes, point.cost, y=y, color=colour, lw=0.8)
        [mark] = axes.plot(x, y, label=ON_BUSY if point.busy else None, **_look(index))
        tell(mark, point.text)
        if point.place in plane.front and not point.busy:
            axes.plot(x, y, label=BEST, **RING)


def _look(index: int) -> dict[str, Any]:
    return {"color": style.colour(index), "marker": style.marker(index), "ls": ""}


def _names(lines: Sequence[CostLine]) -> tuple[str, list[tuple[str, str]]]:
    """Return what all lines have in common, and of each line its name and, where told, its steps.

    The steps that most lines have in common are told once.
    """
    common, rest = told_apart([_facts(line, lines) for line in lines], keep="sampler")
    counts = Counter(line.steps for line in lines)
    usual = max(counts, key=counts.__getitem__)
    is_usual = counts[usual] > 1 or len(lines) == 1
    common += [f"{usual} steps"] * is_usual
    names = [
        (name, "" if is_usual and line.steps == usual else line.steps + " steps" * (not is_usual))
        for name, line in zip(rest, lines, strict=True)
    ]
    return ", ".join(common), names


def _facts(line: CostLine, lines: Sequence[CostLine]) -> dict[str, str]:
    """Return what tells a line from others of its family; the model where nothing else does."""
    cell = line.cell
    alike = [
        other
        for other in lines
        if (other.cell.sampling[:2], other.cell.weights, other.cell.scale)
        == (cell.sampling[:2], cell.weights, cell.scale)
    ]
    return {
        "schedule": cell.schedule or "",
        "sampler": cell.sampler or "",
        "guidance": cell.scale,
        "model": cell.model if len(alike) > 1 else "",
        "origin": "" if cell.weights == "from-scratch" else cell.weights,
    }
