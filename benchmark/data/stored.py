"""How an image file is compressed, which changes its distance to other images."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image

JPEG_FORMATS = frozenset({"JPEG", "MPO"})  # MPO: a JPEG with further pictures behind the first


def stored_as(image: Image.Image) -> str:
    """Return the format of an opened file, and the quality of a JPEG, as `JPEG quality 75`."""
    if image.format not in JPEG_FORMATS:
        return image.format or "unknown"
    tables = getattr(image, "quantization", None)
    return f"JPEG quality {_quality(tuple(tables[0]))}" if tables else "JPEG"


@functools.lru_cache(maxsize=256)
def _quality(table: tuple[int, ...]) -> str:
    """Return the quality (1 to 100) at which libjpeg has this luminance table, or the nearest one.

    Cameras and some programs have tables of their own; then the nearest quality is given as
    `about`.
    """
    distances = np.abs(_luminance_tables() - np.array(table)).sum(axis=1)
    nearest = int(distances.argmin())
    return f"{'' if distances[nearest] == 0 else 'about '}{nearest + 1}"


@functools.lru_cache(maxsize=1)
def _luminance_tables() -> np.ndarray:
    """Return the luminance tables of the qualities 1 to 100, 100×64, as Pillow's libjpeg has them.

    They are read from files that are written here, so that their order is that of `quantization`.
    """
    tables = []
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
        tables.append(Image.open(file).quantization[0])  # type: ignore[attr-defined]
    return np.array(tables)
