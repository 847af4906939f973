"""The plot of distance against time, with a name beside each point."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.records.rows import Row, name_of, rank_of
from benchmark.report import style
from benchmark.report.by_model import ON_BUSY
from benchmark.report.formats import BUSY
from benchmark.report.label_places import place_labels
from benchmark.report.panels import distance_label, is_wide, no_distance_note, unique_handles
from benchmark.report.pareto import CostPoint, front_of


def distance_against_time(rows: Sequence[Row]) -> Figure | None:
    """Draw distance against seconds per image, a panel for all that can be compared.

    The distances are those at the largest number of images that all cells of a panel have, and the
    line joins the cells that no other cell beats in both; cells that were timed on a busy machine
    are marked, and beat none. Where they have no number in common, each point is the distance of
    all its images and names their number.
    """
    timed = [row for row in rows if row.cell and row.distance and row.seconds]
    panels = {
        key: list(group)
        for key, group in itertools.groupby(sorted(timed, key=_comparable), key=_comparable)
    }
    if not panels:
        return no_distance_note(row for row in rows if row.seconds)
    figure = Figure(figsize=(style.WIDTH, 4.8 * len(panels)))
    panes = np.ravel(figure.subplots(len(panels)))
    for axes, panel in zip(panes, panels.values(), strict=True):
        _trade_off(axes, panel)
    handles = unique_handles(panes)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    figure.draw_without_rendering()
    for axes, panel in zip(panes, panels.values(), strict=True):
        place_labels(figure, axes, _points(panel))
    return figure


def _comparable(row: Row) -> tuple[str, ...]:
    """Return what two distances must have in common to stand in one panel."""
    assert row.protocol
    assert row.cell
    p = row.protocol
    return (row.dataset, f"{row.cell.resolution:06}", p.label, p.weights_sha256, p.real_sha256)


def _common_size(rows: Iterable[Row]) -> int | None:
    """Return the largest number of images at which all rows are measured."""
    return max(set.intersection(*(set(row.distances) for row in rows)), default=None)


def _points(rows: Sequence[Row]) -> list[CostPoint]:
    common = _common_size(rows)
    points = []
    for row in rows:
        distance = row.distances[common] if common else row.distance
        if row.seconds and distance and row.cell:
            label = name_of(row.cell) + ("" if common else f" (n={row.cell.samples})")
            label += f" {BUSY}" * bool(row.busy)
            points.append(CostPoint(row.seconds, distance, row.cell, label, bool(row.busy)))
    return points


def _trade_off(axes: Axes, rows: Sequence[Row]) -> None:
    points, common = _points(rows), _common_size(rows)
    if common and (front := front_of(points)):
        axes.plot(*zip(*front, strict=True), color=style.MUTED, lw=1, ls="--", label="Pareto front")
    for point in points:
        _scatter(axes, point)
    if any(point.busy for point in points):
        axes.plot([], [], " ", label=ON_BUSY)
    axes.set_xscale("log")
    style.plain_log(axes.xaxis)
    if is_wide(rows):
        axes.set_yscale("log")
        style.plain_log(axes.yaxis)
    axes.margins(0.12, 0.12)
    cell = points[0].cell
    axes.set_title(f"{cell.dataset} at {cell.resolution}×{cell.resolution}")
    of = f" of {common} images" if common else ""
    axes.set(
        xlabel="sampling time in seconds per image",
        ylabel=f"{distance_label(rows[0])}{of} (lower is better)",
    )


def _scatter(axes: Axes, point: CostPoint) -> None:
    rank, trained = rank_of(point.cell), point.cell.weights == "from-scratch"
    colour = style.colour(rank)
    label = f"{point.cell.family}, {'trained here' if trained else 'pretrained'}"
    if point.distance.low is not None and point.distance.high is not None:
        interval = [point.distance.low, point.distance.high]
        axes.plot([point.x] * 2, interval, color=colour, lw=1)
    if point.seconds.low is not None and point.seconds.high is not None:
        interval = [point.seconds.low, point.seconds.high]
        axes.plot(interval, [point.y] * 2, color=colour, lw=1)
    face = colour if trained else "white"
    axes.plot(point.x, point.y, style.marker(rank), color=colour, mfc=face, label=label)
