"""Draws how time and memory grow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report import style
from benchmark.report.panels import AROUND, End, name_ends
from benchmark.report.saving import save_figure

if TYPE_CHECKING:
    from benchmark.tools.speed.growth import GrowthCurve

HEIGHT = 1.1  # inches of a panel
AXES = {
    "samples": "samples",
    "resolution": "resolution in pixels",
    "steps": "sampler steps",
    "images": "training images",
}


def draw(curves: Sequence[GrowthCurve], path: Path) -> list[Path]:
    """Draw time at the left and peak memory beside it, a row for each size; return the files."""
    with style.applied():
        figure = Figure(figsize=(style.WIDTH, (HEIGHT + AROUND) * len(AXES)))
        panels = figure.subplots(len(AXES), 2, sharex="row", sharey="col")
        time, memory = panels[0]
        time.set_title("seconds, log scale")
        memory.set_title("peak memory in GB, linear scale")
        gigabytes = [use.megabytes / 1000 for curve in curves for use in curve.uses]
        memory.set_ylim(0, 1.05 * max(gigabytes, default=1))
        for (time, memory), against in zip(panels, AXES, strict=True):
            _draw_row(time, memory, [curve for curve in curves if curve.against == against])
            for axes in (time, memory):
                axes.set_xlabel(f"{AXES[against]}, log scale")
        style.plain_log(panels[0, 0].yaxis)
        return save_figure(figure, path)


def _draw_row(time: Axes, memory: Axes, curves: Sequence[GrowthCurve]) -> None:
    """Draw the curves against one size, and name them beside the panels."""
    time.set(xscale="log", yscale="log")
    named = []
    for index, curve in enumerate(curves):
        look: dict[str, Any] = {"color": style.colour(index), "marker": style.marker(index)}
        line: dict[str, Any] = {**look, "ls": style.line(index), "lw": 1}
        gigabytes = [use.megabytes / 1000 for use in curve.uses]
        time.plot(curve.sizes, [use.seconds for use in curve.uses], **line)
        memory.plot(curve.sizes, gigabytes, **line)
        name = f"{curve.stage}: time ∝ n^{curve.exponent:.2f}"
        named.append(End(curve.sizes[-1], gigabytes[-1], name, {**look, "ls": ""}))
    if curves:
        sizes = max((curve.sizes for curve in curves), key=lambda sizes: sizes[-1])
        time.set_xticks(sizes, [f"{size:,}" for size in sizes])
        time.minorticks_off()
        name_ends(memory, named, HEIGHT)
