"""What several plots share: scales, legends, names at the ends of lines, and a note."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from benchmark.core.values import Value
from benchmark.records.rows import Row
from benchmark.report import style
from benchmark.report.formats import BUSY

WIDE = 4  # an axis that spans more than this factor is logarithmic
Subs = Sequence[float]  # multiples of powers of ten that a logarithmic axis names
FINE: Subs = (1, 2, 5)
WIDEST = 1000  # an axis that spans more than this factor names powers of ten alone
LINE = 0.15  # inches between two lines of text
LOWEST = 1.6  # inches of a panel without its names
AROUND = 0.6  # inches of titles and numbers around a panel
ACROSS = 100  # letters of the width of a figure
FLOOR, INTERVAL = "floor: as many held-out images", "95 % interval"
SHADE = f"{INTERVAL}, shaded"
REAL = "as many held-out images"
BEST, BATCH, PUBLISHED = "Pareto front: no other is as good in both", "one batch", "published"
MEAN, LOGGED = "moving mean over a twentieth of the training", "as logged"
ON_BUSY = f"{BUSY} the machine was busy: compares with no other"
RING: dict[str, Any] = {"marker": "o", "ls": "", "ms": 9, "mfc": "none", "mec": style.INK}
BAR: dict[str, Any] = {"marker": "|", "ls": "", "ms": 9, "color": style.MUTED}
# What a legend explains, in its order, with the look of each.
_MEANINGS: dict[str, dict[str, Any]] = {
    FLOOR: {"color": style.BAND, "lw": 6},
    REAL: {"color": style.BAND, "lw": 6},
    INTERVAL: {"color": style.MUTED, "lw": 1},
    SHADE: {"color": style.MUTED, "lw": 6, "alpha": 0.2},
    BATCH: BAR,
    PUBLISHED: {**BAR, "color": style.INK},
    MEAN: {"color": style.MUTED, "lw": 1.4},
    LOGGED: {"color": style.MUTED, "lw": 0.6, "alpha": 0.5},
    BEST: RING,
    ON_BUSY: {"ls": ""},
}
_LEADER: dict[str, Any] = {
    **{"arrowstyle": "-", "color": style.MUTED, "lw": 0.7, "ls": (0, (1, 2))},
    **{"shrinkA": 0, "shrinkB": 4},
}


class End(NamedTuple):
    """The end of a line, and its name."""

    x: float
    y: float
    text: str
    look: dict[str, Any]  # of the mark before its name


def scale(axes: Axes, which: Literal["x", "y"], values: Sequence[Value], subs: Subs = FINE) -> str:
    """Set the limits of an axis around some values, and return the name of its scale.

    The scale is logarithmic if a linear one would crush the smaller values; else it begins at 0.
    Intervals are cut off at a third of the smallest value.

    Args:
        axes: the plot.
        which: its axis.
        values: what is on it.
        subs: what a logarithmic axis names, unless it is very long.
    """
    lowest = min(value.value for value in values)
    shown = [end for value in values for end in ends(value) if end >= min(lowest, lowest / 3)]
    low, high = min(shown), max(shown)
    if not high > WIDE * low > 0:
        axes.set(**{f"{which}lim": (min(0, 1.1 * low), 1.05 * high or 1)})
        return "linear scale"
    margin = (high / low) ** 0.05
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low / margin, high * margin)})
    named = subs if high <= WIDEST * low else (1,)
    style.plain_log(axes.xaxis if which == "x" else axes.yaxis, named)
    return "log scale"


def ends(value: Value) -> tuple[float, float]:
    """Return the ends of the interval of a value; without one the value itself, twice."""
    if value.low is None or value.high is None:
        return value.value, value.value
    return value.low, value.high


def draw_interval(
    axes: Axes, value: Value, x: float | None = None, y: float | None = None, **look: Any
) -> None:
    """Draw the interval of a value where it is known: upright at `x`, or lying at `y`."""
    if value.low is not None and value.high is not None:
        known = [value.low, value.high]
        places = known if x is None else [x, x], known if y is None else [y, y]
        axes.plot(*places, label=INTERVAL, **look)


def draw_band(axes: Axes, value: Value | None, meaning: str = FLOOR) -> None:
    """Draw behind a plot what held-out images reach: a band as wide as its interval, if known.

    Args:
        axes: the plot.
        value: of the held-out images.
        meaning: what the legend calls it: FLOOR, or REAL where it is no floor.
    """
    if value is not None:
        axes.axhspan(*ends(value), color=style.BAND, lw=0, zorder=0, label=meaning)
        axes.axhline(value.value, color=style.MUTED, lw=0.6, zorder=0)


def draw_head(axes: Axes, title: str, common: str, columns: int = 1) -> None:
    """Write a title above a plot, and below it what all its lines have in common.

    Args:
        axes: the plot.
        title: of it.
        common: what its lines have in common.
        columns: the number of plots beside each other.
    """
    below = textwrap.wrap(common, ACROSS // columns)
    axes.set_title(title, pad=4 + 10 * len(below))
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate("\n".join(below), (0, 1), xytext=(0, 4), **place)


def told_apart(facts: Sequence[dict[str, str]], keep: str) -> tuple[list[str], list[str]]:
    """Return what lines have in common, and for each of them a name of the rest.

    Args:
        facts: of each line, all by the same keys; empty ones are left out.
        keep: the fact that names a line which is alone.
    """
    shared = {key for key in facts[0] if len({fact[key] for fact in facts}) == 1}
    if len(facts) == 1:
        shared.discard(keep)  # every line has a name
    common = [facts[0][key] for key in facts[0] if key in shared and facts[0][key]]
    names = [
        ", ".join(fact[key] for key in fact if fact[key] and key not in shared) or fact[keep]
        for fact in facts
    ]
    return common, names


def tallness(lines: int) -> float:
    """Return the inches of a panel in which so many lines can be named."""
    return max(LOWEST, LINE * lines)


def legend(figure: Figure) -> None:
    """Explain below a figure what occurs in it: the labels of its parts."""
    labels = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    handles = [Line2D([], [], label=m, **look) for m, look in _MEANINGS.items() if m in labels]
    columns = len(handles) if len(handles) <= 3 else math.ceil(len(handles) / 2)
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, columns))


def name_ends(axes: Axes, ends: Sequence[End], height: float) -> None:
    """Name lines beside a plot, each as near to its end as the others allow, and lead to it.

    Args:
        axes: the plot, whose limits are final.
        ends: of the lines, at least one.
        height: of the plot in inches, at least.
    """
    to_axes = axes.transData - axes.transAxes
    named = sorted((float(to_axes.transform(end[:2])[1]), end) for end in ends)
    gap = LINE / height
    steps = gap * np.arange(len(named))
    wanted = np.array([y for y, _ in named])
    places = isotonic_regression(wanted - steps).x
    for place, (_, end) in zip(places.clip(0, max(0, 1 - steps[-1])) + steps, named, strict=True):
        axes.plot(1.07, place, transform=axes.transAxes, clip_on=False, **end.look)
        axes.annotate("", end[:2], (1.04, place), textcoords=axes.transAxes, arrowprops=_LEADER)
        axes.annotate(
            end.text,
            (1.07, place),
            (6, 0),
            xycoords=axes.transAxes,
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )


def distance_label(row: Row) -> str:
    """Return what the distance of a row is called."""
    return row.protocol.label if row.protocol else "Fréchet distance"


def no_distance_note(rows: Iterable[Row]) -> Figure | None:
    """Say in place of a plot why no row has a distance; None where none was measured."""
    reasons = dict.fromkeys(row.no_distance for row in rows if row.no_distance)
    if not reasons:
        return None
    figure = Figure(figsize=(style.WIDTH, 1.2))
    text = textwrap.fill(f"No distance: {'; '.join(reasons)}", 90, max_lines=5)
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure
