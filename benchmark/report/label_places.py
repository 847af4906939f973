"""Places for the names of points, so that none covers another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from benchmark.report import style
from benchmark.report.pareto import CostPoint, front_of


def place_labels(figure: Figure, axes: Axes, points: Sequence[CostPoint]) -> None:
    """Name each point so that no text covers a text, a point, an interval, a line or the frame.

    The figure must have its final layout. Each text tries places around its point, from near to
    far, and takes the first free one; a thin line leads to it.
    """
    taken = [_mark(axes, point) for point in points]
    if front := front_of(points):
        taken += _trail(axes.transData.transform(front))
    for point in sorted(points, key=lambda point: -point.y):
        note = axes.annotate(
            point.label,
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=6.5,
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": style.MUTED, "shrinkB": 4},
        )
        note.set_in_layout(False)
        x, y = axes.transData.transform((point.x, point.y))
        size = Text.get_window_extent(note).padded(2)
        right, up = _free_place((x, y), size, axes.bbox, taken)
        note.set_position((right * 72 / figure.dpi, up * 72 / figure.dpi))
        taken.append(_centred(x + right, y + up, size))
        taken += _trail(np.array([(x, y), (x + right, y + up)]))


def _mark(axes: Axes, point: CostPoint) -> Bbox:
    """Return the box, in pixels, that a point and its intervals fill."""
    low, high = point.distance.low, point.distance.high
    ends = [(point.x, y) for y in (point.y, low, high) if y is not None]
    ends += [(x, point.y) for x in (point.seconds.low, point.seconds.high) if x is not None]
    corners = axes.transData.transform(ends)
    return Bbox([corners.min(axis=0), corners.max(axis=0)]).padded(5)


def _trail(corners: NDArray[np.float64]) -> list[Bbox]:
    """Return small boxes along the line that joins the points `corners`: (N, 2), in pixels."""
    return [
        Bbox([start + (stop - start) * share] * 2).padded(2)
        for start, stop in itertools.pairwise(corners)
        for share in np.linspace(0, 1, 2 + int(np.hypot(*(stop - start)) / 4))
    ]


def _free_place(
    point: tuple[float, float], size: Bbox, frame: Bbox, taken: Sequence[Bbox]
) -> tuple[float, float]:
    """Return how far, in pixels, a box must move from its point to the first free place."""
    left, bottom, right, top = np.array([box.extents for box in taken]).T
    shift = (0.0, 0.0)
    for radius, turn in itertools.product(range(10, 240, 5), range(16)):
        angle = turn * math.pi / 8
        shift = ((radius + size.width / 2) * math.cos(angle), radius * math.sin(angle))
        box = _centred(point[0] + shift[0], point[1] + shift[1], size)
        inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
        beside = (right < box.x0) | (box.x1 < left) | (top < box.y0) | (box.y1 < bottom)
        if inside and beside.all():
            break
    return shift


def _centred(x: float, y: float, size: Bbox) -> Bbox:
    return Bbox.from_bounds(x - size.width / 2, y - size.height / 2, size.width, size.height)
