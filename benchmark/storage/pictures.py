"""Pictures made of images: contact sheets of samples, rows from noise to image."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.storage.atomic import atomic_path

if TYPE_CHECKING:
    from benchmark.storage.paths import Run

_SMALLEST_TILE = 64  # small images are enlarged by whole pixels, so that they can be seen
_GAP = 2  # pixels between two tiles
GRID_IMAGES, GRID_COLUMNS = 64, 8
FFMPEG = "install imageio-ffmpeg again, or name one that works in IMAGEIO_FFMPEG_EXE"
PNG_LEVEL = 5  # of 9: the best one takes 20 times as long and saves half a percent
CHAIN_FRAMES = 10  # columns of the picture from noise to image


def write_pictures(run: Run, name: str, frames: NDArray[np.uint8]) -> None:
    """Draw the first samples of a cell, and some samples on their way from noise to image.

    Args:
        run: run that has the samples and gets the pictures.
        name: id of the cell.
        frames: frames of the movie, uint8 frames×n×H×W×C.
    """
    save_grid(np.load(run.samples(name), mmap_mode="r"), run.grid(name))
    save_chain(frames, run.chain(name))
    save_movie(frames, run.movie(name))


def save_grid(images: NDArray[np.uint8], path: Path) -> None:
    """Write the picture of the first images of a cell, uint8 N×H×W×C, as PNG."""
    shown = images[:GRID_IMAGES]
    most = min(GRID_COLUMNS, len(shown))
    # As many as make the last row full, if half as many do.
    columns = next((n for n in range(most, GRID_COLUMNS // 2, -1) if len(shown) % n == 0), most)
    save_png(contact_sheet(shown, columns), path)


def contact_sheet(images: NDArray[np.uint8], columns: int) -> Image.Image:
    """Lay out uint8 images (N×H×W×C) row by row on white, `columns` in a row."""
    images = in_colour(images)
    count, height, width, _ = images.shape
    scale = max(1, -(-_SMALLEST_TILE // width))
    rows = -(-count // columns)
    step_y, step_x = height * scale + _GAP, width * scale + _GAP
    sheet = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = _GAP + row * step_y, _GAP + column * step_x
        enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
        sheet[top : top + height * scale, left : left + width * scale] = enlarged
    return Image.fromarray(sheet)


def save_answers(images: NDArray[np.uint8], path: Path) -> None:
    """Write what was given, the answers and the truth, uint8 Q×(2 + answers)×H×W×C, as PNG.

    Each question is a row; a wider gap stands beside what is given, and beside the truth.
    """
    sheets = [
        np.asarray(contact_sheet(part.reshape(-1, *part.shape[2:]), part.shape[1]))
        for part in (images[:, :1], images[:, 1:-1], images[:, -1:])
    ]
    gap = np.full((len(sheets[0]), 3 * _GAP, 3), 255, np.uint8)
    row = [sheets[0], gap, sheets[1], gap, sheets[2]]
    save_png(Image.fromarray(np.concatenate(row, axis=1)), path)


def save_movie(frames: NDArray[np.uint8], path: Path) -> None:
    """Write frames of several images, uint8 frames×n×H×W×C, as PNG: a row for each frame."""
    rows = [np.concatenate(list(images), axis=1) for images in in_colour(frames)]
    save_png(Image.fromarray(np.concatenate(rows)), path)


def save_chain(frames: NDArray[np.uint8], path: Path) -> None:
    """Write some frames of a movie, uint8 frames×n×H×W×C, as PNG: a row for each image."""
    count = min(CHAIN_FRAMES, len(frames))
    chosen = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    sheet = contact_sheet(chosen.swapaxes(0, 1).reshape(-1, *chosen.shape[2:]), count)
    save_png(sheet, path)


def read_movie(file: Path | BinaryIO, side: int) -> NDArray[np.uint8]:
    """Return the frames of a movie of images `side` pixels wide: uint8, frames×n×H×W×3."""
    pixels = np.asarray(Image.open(file).convert("RGB"))
    count, across = pixels.shape[0] // side, pixels.shape[1] // side
    return pixels.reshape(count, side, across, side, 3).swapaxes(1, 2)


def in_colour(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images, uint8 …×H×W×C, as …×H×W×3: grey is repeated, and colour stays as it is."""
    return images if images.shape[-1] == 3 else np.repeat(images, 3, axis=-1)


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG, atomically."""
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=PNG_LEVEL)


def save_film(pictures: Sequence[Image.Image], milliseconds: int, path: Path) -> None:
    """Write pictures as MP4 (H.264), atomically; the same pictures give the same bytes.

    Args:
        pictures: pictures in RGB, all of the same size, with even height and width.
        milliseconds: how long each picture is shown.
        path: the file.

    Raises:
        BenchmarkError: ffmpeg cannot be run or fails, or the disk is full.
    """
    width, height = pictures[0].size
    frames = ["-f", "rawvideo", "-s", f"{width}x{height}", "-pix_fmt", "rgb24"]
    coding = ["-an", "-vcodec", "libx264", "-pix_fmt", "yuv420p", "-crf", "10", "-threads", "1"]
    # neither version nor date in the file, and what a player needs first at its beginning
    layout = ["-flags", "+bitexact", "-movflags", "+faststart"]
    read = ["-v", "warning", "-y", *frames, "-r", f"1000/{milliseconds}", "-i", "-"]
    try:
        with atomic_path(path) as temporary:
            subprocess.run(
                [imageio_ffmpeg.get_ffmpeg_exe(), *read, *coding, *layout, str(temporary)],
                input=b"".join(picture.tobytes() for picture in pictures),
                capture_output=True,
                check=True,
            )
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())
        raise BenchmarkError(
            f"{path}: ffmpeg failed with status {error.returncode}: {said}: {FFMPEG}"
        ) from None
    except (OSError, RuntimeError) as error:  # the latter: imageio_ffmpeg finds none
        raise BenchmarkError(f"{path}: ffmpeg cannot be run: {error}: {FFMPEG}") from None
