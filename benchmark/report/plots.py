"""Plots of a run, each as PNG, SVG and PDF. Plots are pure functions of records and pictures."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.records.published import read_published
from benchmark.records.record import read_records
from benchmark.records.rows import Row, collect
from benchmark.report import style
from benchmark.report.chosen import chosen_cells, left_out
from benchmark.report.figures import drawn
from benchmark.report.saving import save_figure
from benchmark.storage.paths import Run
from benchmark.storage.run_files import RunFiles, open_run

CAPTION = 0.36  # inches above a picture for its name on two lines


def write_plots(run: Run, reference: Path | None, output: Run | None = None) -> list[Path]:
    """Draw every plot that the records of a run allow.

    Args:
        run: the run, a folder or a bundle; its records are read, and the pictures of its samples
            where there are any.
        reference: CSV of published figures; shown where they can be compared, as true FIDs can.
        output: what gets the plots; by default the run's own folder.

    Returns:
        The files written: PNG, SVG and PDF of each plot.

    Raises:
        BenchmarkError: there are no records, or the published figures cannot be read.
    """
    records = read_records(run.root)
    rows = collect(records)
    with style.applied():
        figures = drawn(records, rows, read_published(reference))
        if overview := samples_overview(run, rows):
            figures["samples-overview"] = overview
        to = output or run
        return [path for name in figures for path in save_figure(figures[name], to.plot(name))]


def samples_overview(run: Run, rows: Iterable[Row]) -> Figure | None:
    """Set the pictures of the samples of the cells side by side, of large runs of chosen ones."""
    files, inside = open_run(run.root), Run(Path())
    made = set(files.matching("samples/*/*.png"))
    found = [row for row in rows if row.cell and inside.grid(row.cell.id).as_posix() in made]
    names = [cell.id for cell in chosen_cells(found)]
    if not names:
        return None
    pictures = [_read(files, inside.grid(name)) for name in names]
    # Pictures of equal height stand together, so that a row has no gaps.
    order = sorted(range(len(names)), key=lambda i: -pictures[i].shape[0] / pictures[i].shape[1])
    names, pictures = [names[i] for i in order], [pictures[i] for i in order]
    columns = min(4, math.ceil(math.sqrt(len(names))))
    side = style.WIDTH / columns
    shapes = [side * picture.shape[0] / picture.shape[1] + CAPTION for picture in pictures]
    heights = [max(shapes[i : i + columns]) for i in range(0, len(names), columns)]
    figure = Figure(figsize=(style.WIDTH, sum(heights)))
    panels = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).flat
    for axes, name, picture in itertools.zip_longest(panels, names, pictures):
        axes.axis("off")
        if name is not None:
            axes.imshow(picture, interpolation="none")
            axes.set_anchor("N")
            axes.set_title(_wrap(name), fontweight="normal")
    if which := left_out(len(names), len(found)):
        figure.suptitle(which)
    return figure


def _read(files: RunFiles, path: Path) -> NDArray[np.float32]:
    """Return a picture as H×W×4 or H×W×3, from 0 to 1."""
    picture: NDArray[np.float32] = matplotlib.image.imread(io.BytesIO(files.read(path.as_posix())))
    return picture


def _wrap(name: str, width: int = 26) -> str:
    """Break a name at its hyphens into lines of at most `width` letters."""
    lines = [""]
    for part in name.replace("-", "-\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
