"""What several plots share: scales, legends, and a note where nothing can be drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.records.rows import Row
from benchmark.report import style

WIDE = 4  # a distance axis that spans more than this factor is logarithmic


def is_wide(rows: Iterable[Row]) -> bool:
    """Tell whether a linear axis would crush the smaller distances."""
    values = [row.distance.value for row in rows if row.distance]
    return max(values) > WIDE * min(values) > 0


def distance_label(row: Row) -> str:
    """Return what the distance of a row is called."""
    return row.protocol.label if row.protocol else "Fréchet distance"


def unique_handles(panels: Iterable[Axes]) -> dict[str, Artist]:
    """Return what a legend explains, each name once."""
    unique: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        unique |= zip(labels, handles, strict=True)
    return unique


def no_distance_note(rows: Iterable[Row]) -> Figure | None:
    """Say in place of a plot why no row has a distance; None where none was measured."""
    reasons = dict.fromkeys(row.no_distance for row in rows if row.no_distance)
    if not reasons:
        return None
    figure = Figure(figsize=(style.WIDTH, 1.2))
    text = textwrap.fill(f"No distance: {'; '.join(reasons)}", 90, max_lines=5)
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure
