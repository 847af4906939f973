"""Draws how time and memory grow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.report import style
from benchmark.report.saving import save_figure

if TYPE_CHECKING:
    from benchmark.tools.speed.growth import GrowthCurve

AXES = {
    "samples": "samples",
    "resolution": "resolution in pixels",
    "steps": "sampler steps",
    "images": "training images",
}


def draw(curves: Sequence[GrowthCurve], path: Path) -> list[Path]:
    """Draw time at the left and peak memory beside it, a row for each size; return the files."""
    with style.applied():
        figure = Figure(figsize=(style.WIDTH, 1.7 * len(AXES)))
        panels = figure.subplots(len(AXES), 2, sharex="row", sharey="col")
        for (time, memory), against in zip(panels, AXES, strict=True):
            _draw_row(time, memory, [curve for curve in curves if curve.against == against])
            for axes in (time, memory):
                axes.set_xlabel(f"{AXES[against]}, log scale")
        time, memory = panels[0]
        style.plain_log(time.yaxis)
        time.set_title("seconds, log scale")
        memory.set_title("peak memory in GB, linear scale")
        memory.set_ylim(0)
        return save_figure(figure, path)


def _draw_row(time: Axes, memory: Axes, curves: Sequence[GrowthCurve]) -> None:
    """Draw the curves against one size, and name them beside the panels."""
    time.set(xscale="log", yscale="log")
    for index, curve in enumerate(curves):
        look: dict[str, Any] = {
            "color": style.colour(index),
            "marker": style.marker(index),
            "ls": style.line(index),
            "lw": 1,
        }
        name = f"{curve.stage},\n∝ n^{curve.exponent:.2f}"
        time.plot(curve.sizes, [use.seconds for use in curve.uses], **look)
        memory.plot(curve.sizes, [use.megabytes / 1000 for use in curve.uses], label=name, **look)
    if curves:
        sizes = max((curve.sizes for curve in curves), key=lambda sizes: sizes[-1])
        time.set_xticks(sizes, [f"{size:,}" for size in sizes])
        time.minorticks_off()
        memory.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
