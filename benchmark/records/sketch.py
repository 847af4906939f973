"""A short account of images by which a record tells how far they are from those of another one.

Sums of pixels with fixed signs keep the distance between two sets of images, as nearly as there are
many sums. So a table, which reads records and no images, can tell that two sets look the same.

Source: Charikar, Chen and Farach-Colton 2002, "Finding frequent items in data streams", whose sums
keep Euclidean distances.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.strict_model import Count, StrictModel

SKETCHED = 16  # images of a cell
SUMS = 256  # one byte chooses among them; the error of a distance is 1/√(2·256) = 4 %


class Sketch(StrictModel):
    """Sums of the pixels of the first images of a cell, with fixed signs."""

    images: Count
    values: Count = Field(description="Values of the pixels of one image, of all channels")
    sums: list[int] = Field(min_length=SUMS, max_length=SUMS)


def sketch_of(images: NDArray[np.uint8]) -> Sketch:
    """Return the sketch of the first `SKETCHED` images, uint8 N×H×W×C."""
    count, length = min(SKETCHED, len(images)), int(np.prod(images.shape[1:]))
    sums = np.zeros(SUMS)
    for number in range(count):
        chosen = np.frombuffer(_bytes(f"sum {number}", length), np.uint8)
        signs = 1 - 2 * (np.frombuffer(_bytes(f"sign {number}", length), np.uint8) & 1).astype(int)
        weights = signs * images[number].ravel()
        sums += np.bincount(chosen, weights, minlength=SUMS)
    return Sketch(images=count, values=length, sums=sums.astype(int).tolist())


def levels_apart(sketches: Sequence[Sketch]) -> NDArray[np.float64]:
    """Return about how many grey levels sets of images differ by in a pixel, for every two sets.

    It is the root of the mean square of the differences between images of the same number, from 0
    to 255, with a standard error of 4 % of it.

    Args:
        sketches: of N sets of equally many images of the same size.

    Returns:
        N×N numbers.
    """
    sums = np.array([sketch.sums for sketch in sketches], np.float64)
    squares = [np.square(sums - row).sum(axis=1) for row in sums]
    count = sketches[0].images * sketches[0].values
    return np.sqrt(np.array(squares) / count)


def _bytes(purpose: str, count: int) -> bytes:
    """Return bytes without pattern that are the same everywhere and always."""
    return hashlib.shake_256(purpose.encode()).digest(count)
