"""The figure of `invert`: what a way to the image and back leaves, and what noise on it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmark.core.values import Value
from benchmark.report import style
from benchmark.report.panels import INTERVAL, draw_head
from benchmark.report.saving import save_as_drawn

if TYPE_CHECKING:
    from benchmark.tools.inversion import Inverted, RoundTrip

HEIGHT = 2.6  # inches


def save_plot(found: Inverted, path: Path) -> list[Path]:
    """Draw what was found, and write it as PNG and SVG; return their paths."""
    with style.applied():
        figure = chart(found)
        paths = [path.with_suffix(f".{kind}") for kind in ("png", "svg")]
        for target in paths:
            save_as_drawn(figure, target)
    return paths


def chart(found: Inverted) -> Figure:
    """Draw the errors of noise and images against steps, and the spread of images against η."""
    figure = Figure(figsize=(style.WIDTH, HEIGHT))
    noise, image, spread = figure.subplots(1, 3)
    _by_steps(noise, found.trips, "noise", "Noise, image, noise")
    noise.set(ylabel="Error of the noise, over its size")
    _by_steps(image, found.trips, "levels", "The same, and its image")
    image.set(ylabel="Grey levels between the images")
    etas = [each.eta for each in found.spreads]
    _line(spread, etas, [each.levels for each in found.spreads])
    spread.set_xscale("symlog", linthresh=min((eta for eta in etas if eta), default=1.0))
    ticks = [eta for eta in etas if eta == 0 or math.log10(eta).is_integer()]
    spread.set_xticks(ticks, [f"{eta:g}" for eta in ticks])
    spread.xaxis.set_minor_locator(NullLocator())
    spread.set_ylim(bottom=0)
    draw_head(spread, "Noise on the way", f"{INTERVAL}s", 3)
    spread.set(xlabel="η", ylabel="Grey levels from η = 0")
    return figure


def _by_steps(axes: Axes, trips: Sequence[RoundTrip], name: str, title: str) -> None:
    """Draw an error against steps and, dotted, how one of order 1 would fall to the last."""
    steps = [trip.steps for trip in trips]
    values = [getattr(trip, name) for trip in trips]
    _line(axes, steps, values)
    axes.loglog()
    last = values[-1].value
    draw_head(axes, title, f"{INTERVAL}s" + "; dotted: order 1" * (last > 0), 3)
    if last > 0:
        slope = [last * steps[-1] / n for n in steps]
        axes.plot(steps, slope, color=style.MUTED, ls=":", zorder=1)
    axes.set_xlabel("Steps each way")
    axes.set_xticks(steps, [str(n) for n in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    style.plain_log(axes.yaxis)


def _line(axes: Axes, x: list[Any], values: list[Value]) -> None:
    """Draw values with their intervals."""
    middle = np.array([value.value for value in values])
    ends = np.array([[value.low, value.high] for value in values], np.float64)
    arms = np.abs(ends - middle[:, None]).T
    look: dict[str, Any] = {"color": style.colour(0), "marker": style.marker(0), "capsize": 2}
    axes.errorbar(x, middle, yerr=arms, lw=1.2, **look)
