"""The look of all figures, and how they are saved: fonts, colours and sizes stand only here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmark.storage.atomic import atomic_path

WIDTH = 7.2  # inches: two columns of a paper
ROW = 0.27  # inches: one line of a chart that lists models

# Okabe and Ito's palette, which readers with any colour blindness can distinguish, without its
# yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
MUTED = "#6e6e6e"

SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same on every machine
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "lines.markersize": 5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # embeds TrueType fonts
    "svg.fonttype": "path",
    "svg.hashsalt": "benchmark",
}
# Without dates and versions the same figure gives the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def applied() -> AbstractContextManager[None]:
    """Return a context in which matplotlib has this style, whatever the user's own settings."""
    return matplotlib.style.context(["default", SETTINGS])


def colour(index: int) -> str:
    """Return the colour of this number; the palette repeats."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Return the marker of this number, so that series differ not only in colour."""
    return MARKERS[index % len(MARKERS)]


def line(index: int) -> str:
    """Return the line style of this number; the styles repeat."""
    return LINES[index % len(LINES)]


def plain_log(axis: Axis) -> None:
    """Give a logarithmic axis plain numbers at 1, 2 and 5 of each decade."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG, SVG and PDF beside each other; return the three paths."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is final: do not compute it again for each format
    paths = [path.with_suffix(f".{kind}") for kind in METADATA]
    for target, (kind, metadata) in zip(paths, METADATA.items(), strict=True):
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata)
    return paths
