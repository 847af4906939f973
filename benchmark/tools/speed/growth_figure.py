"""Draws how time and memory grow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Draw time above and peak memory below, with a column for each size; return the files."""
    with style.applied():
        figure = Figure(figsize=(style.WIDTH, 4.6))
        panels = figure.subplots(2, len(AXES), sharex="col", sharey="row")
        for (time, memory), against in zip(panels.T, AXES, strict=True):
            drawn = [curve for curve in curves if curve.against == against]
            for index, curve in enumerate(drawn):
                look = {
                    "color": style.colour(index),
                    "marker": style.marker(index),
                    "ls": style.line(index),
                    "lw": 1,
                }
                label = f"{curve.stage}, ∝ n^{curve.exponent:.2f}"
                time.plot(curve.sizes, [u.seconds for u in curve.uses], label=label, **look)
                memory.plot(curve.sizes, [u.megabytes / 1000 for u in curve.uses], **look)
            time.set(xscale="log", yscale="log", title=f"against {against}")
            time.legend(loc="lower center", bbox_to_anchor=(0.5, 1.12), fontsize=6)
            memory.set(xlabel=AXES[against])
            if drawn:
                memory.set_xticks(drawn[0].sizes, [f"{size:,}" for size in drawn[0].sizes])
                memory.minorticks_off()
                memory.tick_params(axis="x", labelsize=6)
        style.plain_log(panels[0, 0].yaxis)
        panels[1, 0].set_ylim(0)
        panels[0, 0].set_ylabel("seconds")
        panels[1, 0].set_ylabel("peak memory in GB")
        return save_figure(figure, path)
