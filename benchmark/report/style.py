"""The look of all figures: fonts, colours and sizes stand only here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

WIDTH = 7.2  # inches: two columns of a paper
ROW = 0.27  # inches: one line of a chart that lists models

# Okabe and Ito's palette, which readers with any colour blindness can distinguish, without its
# yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Of areas, where yellow can be seen.
FILLS = (*COLOURS, "#F0E442", "#8C564B", "#6A3D9A", "#B2DF8A")
MARKERS = ("o", "s", "^", "D", "v", ">", "<")
LINES = ("-", "--", ":", "-.")
INK, PAPER = "#000000", "#ffffff"
MUTED = "#6e6e6e"
GRID = "#e3e3e3"
BAND = "#ececec"  # what the floor fills

SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same on every machine
    "font.size": 8,  # of every text: see below
    **dict.fromkeys(("axes.titlesize", "axes.labelsize", "legend.fontsize"), "medium"),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), "medium"),
    **dict.fromkeys(("figure.titlesize", "figure.labelsize"), "medium"),
    "text.parse_math": False,  # names are the user's: a dollar in them is a dollar
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # embeds TrueType fonts
    "svg.fonttype": "none",  # texts stay texts: small, and found by a search of the page
    "svg.hashsalt": "benchmark",
}


def applied() -> AbstractContextManager[None]:
    """Return a context in which matplotlib has this style, whatever the user's own settings."""
    return matplotlib.style.context(["default", SETTINGS])


def colour(index: int) -> str:
    """Return the colour of this number; the palette repeats."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Return the marker of this number, so that series differ not only in colour."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def line(index: int) -> str:
    """Return the line style of this number; the styles repeat."""
    return LINES[index % len(LINES)]


def plain_log(axis: Axis, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Give a logarithmic axis plain numbers at some multiples of each power of ten."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
