"""Pictures made of images: contact sheets of samples, rows from noise to image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.atomic import atomic_path

SMALLEST_TILE = 64  # small images are enlarged by whole pixels, so that they can be seen
GAP = 2
GRID_IMAGES, GRID_COLUMNS = 64, 8


def save_grid(images: NDArray[np.uint8], path: Path) -> None:
    """Write the picture of the first images of a cell, uint8 (N, H, W, 3), as PNG."""
    save_png(contact_sheet(images[:GRID_IMAGES], GRID_COLUMNS), path)


def contact_sheet(images: NDArray[np.uint8], columns: int) -> Image.Image:
    """Lay out uint8 images (N, H, W, 3) row by row on white, `columns` in a row."""
    count, height, width, _ = images.shape
    scale = max(1, -(-SMALLEST_TILE // width))
    rows = -(-count // columns)
    step_y, step_x = height * scale + GAP, width * scale + GAP
    sheet = np.full((rows * step_y + GAP, columns * step_x + GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = GAP + row * step_y, GAP + column * step_x
        enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
        sheet[top : top + height * scale, left : left + width * scale] = enlarged
    return Image.fromarray(sheet)


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG, atomically."""
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
