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
from benchmark.records.record import Curve, Record, read_records
from benchmark.records.rows import Row, collect
from benchmark.report import style
from benchmark.report.by_model import distance_by_model, time_by_model
from benchmark.report.timeline import timeline
from benchmark.report.trade_off import distance_against_time
from benchmark.storage.paths import Run
from benchmark.storage.run_files import open_run

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
    published = read_published(reference)
    rows = collect(records)
    with style.applied():
        figures = {
            "distance-by-model": distance_by_model(rows, published),
            "time-by-model": time_by_model(rows),
            "distance-against-time": distance_against_time(rows),
            "loss-curves": loss_curves(records),
            "samples-overview": samples_overview(run, rows),
            "timeline": timeline(records),
        }
        drawn = {name: figure for name, figure in figures.items() if figure}
        to = output or run
        return [
            path for name, fig in drawn.items() for path in style.save_figure(fig, to.plot(name))
        ]


def loss_curves(records: Iterable[Record]) -> Figure | None:
    """Draw the loss of every training: as logged, faint, and its moving mean."""
    trained = [(record.id, record.curve) for record in records if record.curve]
    if not trained:
        return None
    figure = Figure(figsize=(style.WIDTH, 3.6))
    axes = figure.subplots()
    for index, (name, curve) in enumerate(trained):
        colour, line = style.colour(index), style.line(index)
        axes.plot(curve.steps, curve.loss, lw=0.6, alpha=0.25, color=colour)
        axes.plot(curve.steps, moving_mean(curve), lw=1.4, color=colour, ls=line, label=name)
    axes.set_yscale("log")
    style.plain_log(axes.yaxis)
    axes.set(title="Training loss", xlabel="optimiser step", ylabel="loss (moving mean)")
    figure.legend(loc="outside right upper")
    return figure


def samples_overview(run: Run, rows: Iterable[Row]) -> Figure | None:
    """Set the pictures of the samples of all cells side by side."""
    files, inside = open_run(run.root), Run(Path())
    grids = {row.cell.id: inside.grid(row.cell.id).as_posix() for row in rows if row.cell}
    names = [name for name, grid in grids.items() if grid in files.matching("samples/*/*.png")]
    if not names:
        return None
    pictures = [matplotlib.image.imread(io.BytesIO(files.read(grids[name]))) for name in names]
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
            axes.set_title(_wrap(name), fontsize=6.5, fontweight="normal")
    return figure


def moving_mean(curve: Curve) -> NDArray[np.float64]:
    """Return the moving mean of a curve's losses, of shape (points,).

    The window is a twentieth of the curve, centred on the point, and cut off at the curve's ends.
    """
    loss = np.asarray(curve.loss)
    half = len(loss) // 40
    sums = np.concatenate([[0.0], loss.cumsum()])
    index = np.arange(len(loss))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(loss))
    mean: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return mean


def _wrap(name: str, width: int = 26) -> str:
    """Break a name at its hyphens into lines of at most `width` letters."""
    lines = [""]
    for part in name.replace("-", "-\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
