"""The bar chart of `why`: by how much each choice moves the figure."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.report import style
from benchmark.report.saving import METADATA, save_as_drawn
from benchmark.tools.why_result import Why

MOST = 25  # options that are drawn
HEAD = 0.9  # inches for the title and the axis


def check_plot(path: Path) -> None:
    """Refuse a name for a plot that is of no known format.

    Raises:
        BenchmarkError: its suffix is another.
    """
    if path.suffix.lower().removeprefix(".") not in METADATA:
        raise BenchmarkError(f"--plot: {path}: the name must end in .png, .svg or .pdf")


def save_plot(why: Why, path: Path) -> None:
    """Draw the options that move the figure most, and write the chart to a file."""
    with style.applied():
        save_as_drawn(chart(why), path)


def chart(why: Why) -> Figure:
    """Draw a bar with its interval for each option, the largest first."""
    shown = why.ranked[:MOST]
    figure = Figure(figsize=(style.WIDTH, HEAD + style.ROW * max(1, len(shown))))
    axes = figure.subplots()
    for line, scored in enumerate(shown):
        told = scored.is_told_apart
        axes.barh(line, scored.moved.value, color=style.COLOURS[0] if told else style.GRID)
        left, right = _arms(scored.moved)
        axes.errorbar(
            scored.moved.value, line, xerr=[[left], [right]], color=style.INK, capsize=2, lw=0.8
        )
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [f"{s.choice}: {s.option.text}" for s in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(False, axis="y")
    label = why.extractor.label
    axes.set_xlabel(f"change of {label}, from {why.baseline.value:.4g}; grey: not told from none")
    if why.published is not None:
        gap = why.published.value - why.baseline.value
        axes.axvline(gap, color=style.COLOURS[1], linestyle="--", linewidth=1)
        figure.suptitle(f"dashed: the published {why.published.value:g}", x=0.99, ha="right")
    return figure


def _arms(value: Value) -> tuple[float, float]:
    """Return how far the ends of an interval lie from its value."""
    assert value.low is not None
    assert value.high is not None
    return value.value - value.low, value.high - value.value
