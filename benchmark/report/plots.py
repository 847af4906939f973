"""Plots of a run, each as PNG, SVG and PDF. Plots are pure functions of records and pictures."""

from __future__ import annotations

import io
import itertools
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from benchmark.core.values import Value
from benchmark.records.published import Key, Published, find_published, read_published
from benchmark.records.record import Cell, Curve, Record, read_records
from benchmark.records.rows import Row, collect, floor_of, in_table, name_of, rank_of, table_names
from benchmark.report import style
from benchmark.report.formats import BUSY
from benchmark.report.timeline import timeline
from benchmark.storage.paths import Run
from benchmark.storage.run_files import open_run

FLOOR = "as many held-out images"
ON_BUSY = f"{BUSY} the machine was busy: compares with no other"
FLOOR_HEIGHT = 0.7  # of a line's
CAPTION = 0.36  # inches above a picture for its name on two lines
_WIDE = 4  # a distance axis that spans more than this factor is logarithmic


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


def distance_by_model(rows: Sequence[Row], published: dict[Key, Published]) -> Figure | None:
    """Draw the Fréchet distance of every cell and control, and before it the floor at its n."""

    def draw(axes: Axes, y: float, row: Row) -> None:
        assert row.distance
        _dot(axes, row.distance, y, row.cell)
        if floor := floor_of(row, rows):
            ends = [y - FLOOR_HEIGHT / 2, y + FLOOR_HEIGHT / 2]
            axes.plot([floor.value] * 2, ends, color=style.MUTED, lw=1.5, label=FLOOR)
        figures = find_published(row.cell, published)
        if figures and figures.fid and _label(row) == "FID":
            axes.plot(float(figures.fid), y, "|", ms=11, color="black", label="published")

    measured = [row for row in rows if row.distance]
    figure = _by_model(measured, draw, lambda row: f"n = {_count(row)}")
    if figure is None:
        return _no_distance(rows)
    for axes, name in zip(figure.axes, table_names(measured), strict=True):
        mine = in_table(measured, name)
        labels = dict.fromkeys(_label(row) for row in mine)
        axes.set_xlabel(f"{' / '.join(labels)} (lower is better)")
        if _is_wide(mine):
            axes.set_xscale("log")
            style.plain_log(axes.xaxis)
        else:
            axes.set_xlim(left=0)
        _legend_above(axes)
    return figure


def time_by_model(rows: Sequence[Row]) -> Figure | None:
    """Draw the seconds per image of every cell: the median of its laps with its interval.

    Each timed batch stands behind it in grey, and a mark beside it where the machine was busy.
    """

    def draw(axes: Axes, y: float, row: Row) -> None:
        timing = row.sample.timing if row.sample else None
        assert timing
        batches = np.divide(timing.batch_seconds, timing.batch_images)
        axes.plot(batches, [y] * len(batches), "|", ms=11, color=style.MUTED, label="one batch")
        assert row.seconds
        _dot(axes, row.seconds, y, row.cell)
        if row.busy:
            right = max(row.seconds.high or 0.0, row.seconds.value, *batches)
            place, text = (right, y), f" {BUSY}"
            axes.annotate(text, place, xytext=(3, 0), textcoords="offset points", va="center")
            axes.plot([], [], " ", label=ON_BUSY)

    timed = [row for row in rows if row.seconds]
    figure = _by_model(timed, draw, lambda row: f"batch {_batch(row)}")
    if figure is None:
        return None
    for axes in figure.axes:
        axes.set_xscale("log")
        style.plain_log(axes.xaxis)
        axes.set_xlabel("sampling time in seconds per image")
        _legend_above(axes)
    return figure


def distance_against_time(rows: Sequence[Row]) -> Figure | None:
    """Draw distance against seconds per image, a panel for all that can be compared.

    The distances are those at the largest number of images that all cells of a panel have, and the
    line joins the cells that no other cell beats in both; cells that were timed on a busy machine
    are marked, and beat none. Where they have no number in common, each point is the distance of
    all its images and names their number.
    """
    timed = [row for row in rows if row.cell and row.distance and row.seconds]
    panels = {
        key: list(group)
        for key, group in itertools.groupby(sorted(timed, key=_comparable), key=_comparable)
    }
    if not panels:
        return _no_distance(row for row in rows if row.seconds)
    figure = Figure(figsize=(style.WIDTH, 4.8 * len(panels)))
    panes = np.ravel(figure.subplots(len(panels)))
    for axes, panel in zip(panes, panels.values(), strict=True):
        _trade_off(axes, panel)
    handles = _unique_handles(panes)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    figure.draw_without_rendering()
    for axes, panel in zip(panes, panels.values(), strict=True):
        place_labels(figure, axes, _points(panel))
    return figure


def _no_distance(rows: Iterable[Row]) -> Figure | None:
    """Say in place of a plot why no row has a distance; None where none was measured."""
    reasons = dict.fromkeys(row.no_distance for row in rows if row.no_distance)
    if not reasons:
        return None
    figure = Figure(figsize=(style.WIDTH, 1.2))
    text = textwrap.fill(f"No distance: {'; '.join(reasons)}", 90, max_lines=5)
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


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
    """Return the mean of a twentieth of the curve around each point; shorter at its ends."""
    loss = np.asarray(curve.loss)
    half = len(loss) // 40
    sums = np.concatenate([[0.0], loss.cumsum()])
    index = np.arange(len(loss))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(loss))
    mean: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return mean


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in both coordinates (lower is better), by the first."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


Draw = Callable[[Axes, float, Row], None]
Detail = Callable[[Row], str]


def _by_model(rows: Sequence[Row], draw: Draw, detail: Detail) -> Figure | None:
    """Lay out a panel for each table, in it a line for the seeds of a cell, and each control."""
    panels = [(name, _by_line(in_table(rows, name), detail)) for name in table_names(rows)]
    if not panels:
        return None
    heights = [len(lines) * style.ROW + 0.9 for _, lines in panels]
    figure = Figure(figsize=(style.WIDTH, sum(heights)))
    axes = np.ravel(figure.subplots(len(panels), height_ratios=heights))
    for panel, (name, lines) in zip(axes, panels, strict=True):
        for y, seeds in enumerate(lines.values()):
            for shift, row in zip(_spread(len(seeds)), seeds, strict=True):
                draw(panel, y + shift, row)
        panel.set_yticks(range(len(lines)), list(lines))
        panel.set_ylim(len(lines) - 0.5, -0.5)
        panel.set_title(name)
        panel.grid(axis="y", visible=False)
    return figure


def _by_line(rows: Iterable[Row], detail: Detail) -> dict[str, list[Row]]:
    """Group cells that differ in their seed only, under the text that names them; then controls."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if not row.is_floor:
            lines.setdefault(f"{_title(row)}, {detail(row)}", []).append(row)
    return lines


def _spread(count: int) -> list[float]:
    """Return small shifts that set the seeds of one line apart."""
    return [(i - (count - 1) / 2) * 0.5 / count for i in range(count)]


def _title(row: Row) -> str:
    """Name a row in a plot."""
    if row.cell:
        return name_of(row.cell)
    assert row.control
    return f"control: {row.control.kind}"


def _count(row: Row) -> int | None:
    return row.protocol.n_fake if row.protocol else None


def _dot(axes: Axes, value: Value, y: float, cell: Cell | None) -> None:
    """Draw a value with its interval in the colour of the cell's family, of a control in grey."""
    colour = style.colour(rank_of(cell)) if cell else style.MUTED
    if value.low is not None and value.high is not None:
        axes.plot([value.low, value.high], [y, y], color=colour, lw=1.2)
    axes.plot(value.value, y, style.marker(rank_of(cell)) if cell else "D", color=colour)


def _legend_above(axes: Axes) -> None:
    unique = _unique_handles([axes])
    if unique:
        axes.legend(
            unique.values(),
            unique.keys(),
            ncols=len(unique),
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0.2,
        )


def _unique_handles(panels: Iterable[Axes]) -> dict[str, Artist]:
    """Return what a legend explains, each name once."""
    unique: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        unique |= zip(labels, handles, strict=True)
    return unique


def _is_wide(rows: Iterable[Row]) -> bool:
    """Tell whether a linear axis would crush the smaller distances."""
    values = [row.distance.value for row in rows if row.distance]
    return max(values) > _WIDE * min(values) > 0


def _label(row: Row) -> str:
    return row.protocol.label if row.protocol else "Fréchet distance"


def _batch(row: Row) -> int | None:
    return row.sample.timing.batch if row.sample and row.sample.timing else None


def _comparable(row: Row) -> tuple[str, ...]:
    """Return what two distances must have in common to stand in one panel."""
    assert row.protocol
    assert row.cell
    p = row.protocol
    return (row.dataset, f"{row.cell.resolution:06}", p.label, p.weights_sha256, p.real_sha256)


@dataclass(frozen=True)
class _Point:
    """A cell in the plane of time and distance; a busy one was timed on a busy machine."""

    seconds: Value
    distance: Value
    cell: Cell
    label: str
    busy: bool = False

    @property
    def x(self) -> float:
        """The seconds per image."""
        return self.seconds.value

    @property
    def y(self) -> float:
        """The distance."""
        return self.distance.value


def _common_size(rows: Iterable[Row]) -> int | None:
    """Return the largest number of images at which all rows are measured."""
    return max(set.intersection(*(set(row.distances) for row in rows)), default=None)


def _points(rows: Sequence[Row]) -> list[_Point]:
    common = _common_size(rows)
    points = []
    for row in rows:
        distance = row.distances[common] if common else row.distance
        if row.seconds and distance and row.cell:
            label = name_of(row.cell) + ("" if common else f" (n={row.cell.samples})")
            label += f" {BUSY}" * bool(row.busy)
            points.append(_Point(row.seconds, distance, row.cell, label, bool(row.busy)))
    return points


def _trade_off(axes: Axes, rows: Sequence[Row]) -> None:
    points, common = _points(rows), _common_size(rows)
    if common and (front := _front(points)):
        axes.plot(*zip(*front, strict=True), color=style.MUTED, lw=1, ls="--", label="Pareto front")
    for point in points:
        _scatter(axes, point)
    if any(point.busy for point in points):
        axes.plot([], [], " ", label=ON_BUSY)
    axes.set_xscale("log")
    style.plain_log(axes.xaxis)
    if _is_wide(rows):
        axes.set_yscale("log")
        style.plain_log(axes.yaxis)
    axes.margins(0.12, 0.12)
    cell = points[0].cell
    axes.set_title(f"{cell.dataset} at {cell.resolution}×{cell.resolution}")
    axes.set(
        xlabel="sampling time in seconds per image",
        ylabel=f"{_label(rows[0])}{f' of {common} images' if common else ''} (lower is better)",
    )


def _scatter(axes: Axes, point: _Point) -> None:
    rank, trained = rank_of(point.cell), point.cell.weights == "from-scratch"
    colour = style.colour(rank)
    label = f"{point.cell.family}, {'trained here' if trained else 'pretrained'}"
    if point.distance.low is not None and point.distance.high is not None:
        interval = [point.distance.low, point.distance.high]
        axes.plot([point.x] * 2, interval, color=colour, lw=1)
    if point.seconds.low is not None and point.seconds.high is not None:
        interval = [point.seconds.low, point.seconds.high]
        axes.plot(interval, [point.y] * 2, color=colour, lw=1)
    face = colour if trained else "white"
    axes.plot(point.x, point.y, style.marker(rank), color=colour, mfc=face, label=label)


def _front(points: Iterable[_Point]) -> list[tuple[float, float]]:
    """Return the points that no other beats, of those that were timed on a quiet machine."""
    return pareto([(point.x, point.y) for point in points if not point.busy])


def place_labels(figure: Figure, axes: Axes, points: Sequence[_Point]) -> None:
    """Name each point so that no text covers a text, a point, an interval, a line or the frame.

    The figure must have its final layout. Each text tries places around its point, from near to
    far, and takes the first free one; a thin line leads to it.
    """
    taken = [_mark(axes, point) for point in points]
    if front := _front(points):
        taken += _trail(axes.transData.transform(front))
    for point in sorted(points, key=lambda point: -point.y):
        note = axes.annotate(
            point.label,
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=6.5,
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": style.MUTED, "shrinkB": 4},
        )
        note.set_in_layout(False)
        x, y = axes.transData.transform((point.x, point.y))
        size = Text.get_window_extent(note).padded(2)
        right, up = _free_place((x, y), size, axes.bbox, taken)
        note.set_position((right * 72 / figure.dpi, up * 72 / figure.dpi))
        taken.append(_centred(x + right, y + up, size))
        taken += _trail(np.array([(x, y), (x + right, y + up)]))


def _mark(axes: Axes, point: _Point) -> Bbox:
    """Return the box, in pixels, that a point and its intervals fill."""
    low, high = point.distance.low, point.distance.high
    ends = [(point.x, y) for y in (point.y, low, high) if y is not None]
    ends += [(x, point.y) for x in (point.seconds.low, point.seconds.high) if x is not None]
    corners = axes.transData.transform(ends)
    return Bbox([corners.min(axis=0), corners.max(axis=0)]).padded(5)


def _trail(corners: NDArray[np.float64]) -> list[Bbox]:
    """Return small boxes along the line that joins the points `corners`: (N, 2), in pixels."""
    return [
        Bbox([start + (stop - start) * share] * 2).padded(2)
        for start, stop in itertools.pairwise(corners)
        for share in np.linspace(0, 1, 2 + int(np.hypot(*(stop - start)) / 4))
    ]


def _free_place(
    point: tuple[float, float], size: Bbox, frame: Bbox, taken: Sequence[Bbox]
) -> tuple[float, float]:
    """Return how far, in pixels, a box must move from its point to the first free place."""
    left, bottom, right, top = np.array([box.extents for box in taken]).T
    shift = (0.0, 0.0)
    for radius, turn in itertools.product(range(10, 240, 5), range(16)):
        angle = turn * math.pi / 8
        shift = ((radius + size.width / 2) * math.cos(angle), radius * math.sin(angle))
        box = _centred(point[0] + shift[0], point[1] + shift[1], size)
        inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
        beside = (right < box.x0) | (box.x1 < left) | (top < box.y0) | (box.y1 < bottom)
        if inside and beside.all():
            break
    return shift


def _centred(x: float, y: float, size: Bbox) -> Bbox:
    return Bbox.from_bounds(x - size.width / 2, y - size.height / 2, size.width, size.height)


def _wrap(name: str, width: int = 26) -> str:
    """Break a name at its hyphens into lines of at most `width` letters."""
    lines = [""]
    for part in name.replace("-", "-\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
