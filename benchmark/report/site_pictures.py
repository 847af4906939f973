"""The pictures of the page of a run: samples, movies, the video and panels of neighbours."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.records.record import Cell
from benchmark.records.rows import Row, name_of, title_of
from benchmark.report.chosen import MOST, RULE, chosen_cells, left_out
from benchmark.report.named_lines import line_of
from benchmark.report.verdict_tables import interval
from benchmark.storage.atomic import atomic_path
from benchmark.storage.paths import Run
from benchmark.storage.pictures import read_movie, save_film
from benchmark.storage.run_files import open_run

LARGEST_TILE = 80  # pixels of an image in the slider: 65 frames of three fit into a WebP

_QUALITY = 90  # of pictures that lose something

LOSSLESS = 200_000  # bytes; larger pictures lose something
MOVIES = 24  # in one page: each has as many bytes as several pictures

GALLERY = 4_000_000  # bytes of pictures of one kind; with more, each loses something

WIDEST = 1600  # pixels

VIDEO_SCALE = 2

FRAME_MILLISECONDS = 80

REST = 25  # frames for which a video shows its end


class Pictures:
    """The pictures of a run, be it a folder or a bundle.

    Attributes:
        at: gives their paths.
    """

    def __init__(self, root: Path) -> None:
        self.at = Run(Path())
        self._files = open_run(root)

    def has(self, path: Path) -> bool:
        """Tell whether there is such a picture."""
        return bool(self._files.matching(path.as_posix()))

    def open(self, path: Path) -> io.BytesIO:
        """Return its content."""
        return io.BytesIO(self._files.read(path.as_posix()))


@dataclass(frozen=True)
class Picture:
    """A picture inside the page."""

    name: str
    src: str
    width: int
    height: int
    text: str = ""
    cell: str = ""


@dataclass(frozen=True)
class Video(Picture):
    """A GIF, and the same as MP4."""

    mp4: str = ""


@dataclass(frozen=True)
class Scales:
    """Cells that differ in the scale of their guidance alone, in its order."""

    name: str
    cells: list[Cell]


@dataclass(frozen=True)
class Movie:
    """The frames of a cell's generation, side by side in one picture."""

    name: str
    picture: Picture
    frames: int
    steps: list[int]


Shown = TypeVar("Shown", Picture, Movie)


@dataclass(frozen=True)
class Gallery(Generic[Shown]):
    """Pictures of one kind, of all cells or of those that are chosen.

    Attributes:
        pictures: what is shown.
        note: which cells are shown, where not all are; else empty.
    """

    pictures: list[Shown]
    note: str = ""


def grids_of(pictures: Pictures, rows: Iterable[Row]) -> Gallery[Picture]:
    """Return the pictures of the samples of the cells."""
    found = [row for row in rows if row.cell and pictures.has(pictures.at.grid(row.cell.id))]
    cells = chosen_cells(found)
    shown = [
        _picture(
            *(pictures, pictures.at.grid(cell.id), title_of(cell), _drawn(cell)),
            *(len(cells), cell.id),
        )
        for cell in cells
    ]
    return Gallery(shown, _note(len(cells), len(found), "samples"))


def _note(shown: int, found: int, where: str, rule: str = RULE) -> str:
    which = left_out(shown, found, rule)
    return which and f"{which}; the folder {where} of the run has all pictures."


def _drawn(cell: Cell) -> str:
    what = "images" if cell.weights == "elsewhere" else "samples"
    return f"{cell.samples} {what} of {cell.model}, seed {cell.seed}"


def scales_of(grids: Iterable[Picture], rows: Iterable[Row]) -> list[Scales]:
    """Return the lines of cells with pictures that differ in the scale of their guidance alone.

    Cells of kept states and of raw weights are left out.
    """
    drawn = {grid.cell for grid in grids}
    lines: dict[str, list[Cell]] = {}
    for cell in (row.cell for row in rows):
        if cell and cell.guidance is not None and not cell.is_state and cell.id in drawn:
            lines.setdefault(line_of(cell), []).append(cell)
    found = [(name, sorted(cells, key=_scale)) for name, cells in lines.items() if len(cells) > 1]
    return [Scales(name, cells) for name, cells in found]


def _scale(cell: Cell) -> float:
    return cell.guidance or 0.0


def movies_of(pictures: Pictures, rows: Iterable[Row], first: Cell | None) -> Gallery[Movie]:
    """Return the generation of the cells."""
    found = [row for row in rows if row.cell and pictures.has(pictures.at.movie(row.cell.id))]
    cells = chosen_cells(found, MOVIES)
    if first and first not in cells:
        cells[-1] = first
    cells.sort(key=lambda cell: cell != first)
    note = _note(len(cells), len(found), "samples")
    return Gallery([_movie(pictures, cell) for cell in cells], note)


def _movie(pictures: Pictures, cell: Cell) -> Movie:
    frames = _smaller(read_movie(pictures.open(pictures.at.movie(cell.id)), cell.resolution))
    sprite = Image.fromarray(np.concatenate([_panel(images) for images in frames], axis=1))
    count = len(frames)
    steps = [round(k * cell.sampling.steps / (count - 1)) for k in range(count)]
    name = title_of(cell)
    return Movie(name, _encoded(sprite, name), count, steps)


def video_cell(pictures: Pictures, rows: Iterable[Row]) -> Cell | None:
    """Return the cell of 50 steps of DDIM, of pretrained weights where there are any."""
    cells = [row.cell for row in rows if row.cell and pictures.has(pictures.at.movie(row.cell.id))]
    found = [cell for cell in cells if (cell.family, cell.steps) == ("DDIM", 50)]
    return max(found, key=lambda cell: cell.weights == "pretrained", default=None)


def write_video(pictures: Pictures, cell: Cell, run: Run) -> Video:
    """Write the movie of a cell as GIF and as MP4 (H.264), which rest at their end."""
    frames = _smaller(read_movie(pictures.open(pictures.at.movie(cell.id)), cell.resolution))
    images = [Image.fromarray(_panel(images)) for images in frames]
    size = (images[0].width * VIDEO_SCALE, images[0].height * VIDEO_SCALE)
    enlarged = [image.resize(size, Image.Resampling.NEAREST) for image in images]
    durations = [FRAME_MILLISECONDS] * (len(images) - 1) + [REST * FRAME_MILLISECONDS]
    with atomic_path(run.video) as temporary:
        enlarged[0].save(
            temporary, "GIF", save_all=True, append_images=enlarged[1:], duration=durations, loop=0
        )
    mp4 = run.video.with_suffix(".mp4")
    save_film([*enlarged, *[enlarged[-1]] * (REST - 1)], FRAME_MILLISECONDS, mp4)
    gif = _data("image/gif", run.video.read_bytes())
    return Video(name_of(cell), gif, *size, mp4=_data("video/mp4", mp4.read_bytes()))


def neighbours_of(pictures: Pictures, rows: Iterable[Row]) -> Gallery[Picture]:
    """Return the panels of nearest neighbours, the most suspicious first; controls come last."""
    found = [(_subject(row), row) for row in rows if row.retrieval]
    found = [(name, row) for name, row in found if pictures.has(pictures.at.neighbours(name))]
    found.sort(key=lambda pair: _suspicion(pair[1]))
    cells = [pair for pair in found if pair[1].cell]
    kept = [*cells[:MOST], *found[len(cells) :]]
    shown = [
        _picture(
            *(pictures, pictures.at.neighbours(name), _title(row), _suspected(row)),
            *(len(kept), row.cell.id if row.cell else ""),
        )
        for name, row in kept
    ]
    return Gallery(
        shown, _note(min(MOST, len(cells)), len(cells), "neighbours", "the most suspicious")
    )


def answers_of(pictures: Pictures, rows: Iterable[Row]) -> Gallery[Picture]:
    """Return the panels of questions and answers of the cells with a task."""
    asked = [row for row in rows if row.cell and row.cell.task]
    found = [row for row in asked if row.cell and pictures.has(pictures.at.answers(row.cell.id))]
    cells = chosen_cells(found)
    shown = [
        _picture(pictures, pictures.at.answers(cell.id), title_of(cell), _drawn(cell), len(cells))
        for cell in cells
    ]
    return Gallery(shown, _note(len(cells), len(found), "answers"))


def _subject(row: Row) -> str:
    assert row.retrieval
    return row.retrieval.id


def _title(row: Row) -> str:
    if row.cell:
        return title_of(row.cell)
    assert row.control
    return f"control: {row.control.kind.replace('-', ' ')}"


def _suspicion(row: Row) -> tuple[bool, float, float]:
    assert row.retrieval
    values = row.retrieval.values
    share, ratio = values.get("accused_share"), values.get("distance_ratio")
    accused, far = share.value if share else 0.0, ratio.value if ratio else math.inf
    return row.cell is None, -accused, far


def _suspected(row: Row) -> str:
    assert row.retrieval
    values = row.retrieval.values
    parts = [row.control.text] if row.control else []
    if "accused" in values:
        parts.append(f"{int(values['accused'].value)} accused of being copies")
    if "distance_ratio" in values:
        parts.append(f"distance {interval(values['distance_ratio'])} times that of held-out images")
    return "; ".join(parts)


def _smaller(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return frames whose images are at most LARGEST_TILE wide: every so many pixels' mean."""
    factor = -(-frames.shape[3] // LARGEST_TILE)
    side = frames.shape[3] // factor
    cut = frames[:, :, : side * factor, : side * factor]
    blocks = cut.reshape(*frames.shape[:2], side, factor, side, factor, 3)
    mean: NDArray[np.uint8] = blocks.mean(axis=(3, 5)).round().astype(np.uint8)
    return mean


def _panel(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay out n×H×W×3 images in rows of three."""
    count = len(images) - len(images) % 3 or len(images)
    columns = min(3, count)
    rows = [np.concatenate(list(images[i : i + columns]), axis=1) for i in range(0, count, columns)]
    return np.concatenate(rows, axis=0)


def _picture(
    pictures: Pictures, path: Path, name: str, text: str, count: int, cell: str = ""
) -> Picture:
    """Return one of `count` pictures of a kind: without loss while all of them are small."""
    with Image.open(pictures.open(path)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((WIDEST, 10 * WIDEST))
    return replace(_encoded(image, name, text, min(LOSSLESS, GALLERY // count)), cell=cell)


def _encoded(image: Image.Image, name: str, text: str = "", lossless: int = 0) -> Picture:
    """Return a picture as WebP, without loss if it then has at most `lossless` bytes."""
    data = _webp(image, lossless=True) if lossless else b""
    if not data or len(data) > lossless:
        data = _webp(image, lossless=False)
    return Picture(name, _data("image/webp", data), image.width, image.height, text)


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _webp(image: Image.Image, *, lossless: bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=_QUALITY)
    return buffer.getvalue()
