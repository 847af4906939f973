"""Controls: images of known quality, judged as samples are, that show what the figures notice.

To add one, write a function `(train, count, rng) -> images` under `@_control(name, text)` and name
it in the config's `evaluation.controls`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.prepared import Images

Make: TypeAlias = Callable[[Images, int, np.random.Generator], Images]

BLUR = 1 / 32  # standard deviation of the blur, in widths of the image
_QUALITY = 95


@dataclass(frozen=True)
class Maker:
    """How a control is made.

    Attributes:
        make: maps the training images (uint8, N×H×W×3), how many images are wanted (at most N // 2)
            and the only source of randomness to the images.
        text: what the images are, for captions.
        parts: image i is of part i modulo their number.
    """

    make: Make
    text: str
    parts: tuple[str, ...] = ()


CONTROLS: dict[str, Maker] = {}


def _control(name: str, text: str, parts: tuple[str, ...] = ()) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        CONTROLS[name] = Maker(make, text, parts)
        return make

    return add


@_control("noise", "uniform random pixels, the ceiling")
def noise(train: Images, count: int, rng: np.random.Generator) -> Images:
    """Return pixels that are uniform from 0 to 255."""
    return rng.integers(0, 256, (count, *train.shape[1:]), dtype=np.uint8)


@_control("blur", "training images with a Gaussian blur, σ = 1/32 of the width")
def blur(train: Images, count: int, rng: np.random.Generator) -> Images:
    """Return training images, each taken at most once, that have lost their fine detail."""
    from scipy.ndimage import gaussian_filter  # takes longer to import than all else here

    sigma = BLUR * train.shape[2]
    chosen = _choose(train, np.arange(len(train)), count, rng)
    smooth = gaussian_filter(chosen.astype(np.float32), (0, sigma, sigma, 0), mode="nearest")
    return smooth.round().astype(np.uint8)


@_control("dropped-mode", "training images without the brighter half of them")
def dropped_mode(train: Images, count: int, rng: np.random.Generator) -> Images:
    """Return training images of which none is brighter than the median one."""
    brightness = np.array([image.mean() for image in train])
    darker = np.argsort(brightness, kind="stable")[: len(train) // 2]
    return _choose(train, darker, count, rng)


@_control(
    "copies",
    f"training images, a third each as they are, mirrored, and as JPEG of quality {_QUALITY} "
    "without chroma subsampling",
    ("exact", "mirrored", "jpeg"),
)
def copies(train: Images, count: int, rng: np.random.Generator) -> Images:
    """Return training images, each taken at most once: exact, mirrored, compressed, by turns."""
    chosen = _choose(train, np.arange(len(train)), count, rng)
    chosen[1::3] = chosen[1::3, :, ::-1]
    chosen[2::3] = [_jpeg(image) for image in chosen[2::3]]
    return chosen


def _choose(
    train: Images,
    rows: NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
) -> Images:
    """Return `count` of these rows of the training images, as a new array."""
    return np.stack([train[row] for row in rng.choice(rows, count, replace=False)])


def _jpeg(image: Images) -> Images:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return np.asarray(Image.open(buffer))
