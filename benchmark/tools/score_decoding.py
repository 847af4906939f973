"""Decodes images in threads ahead of their use, with limited memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.data.pixels import Background, decode
from benchmark.data.stored import stored_as

ARRAY = "array"  # the name of the format of images in an array
AHEAD = 128  # the most images of a folder that are decoded before they are needed
AHEAD_BYTES = 2**26  # the memory that these may take for each thread that decodes
# Bytes per pixel while an image is decoded: four of Pillow, and three of the array, which remain.
DECODING = 7
STRIP = 2**18  # pixels that are copied at a time from Pillow's image to an array


class Picture(NamedTuple):
    """An image that was read.

    Attributes:
        pixels: uint8 H×W×3, sRGB.
        format: format of its file, as `PNG` or `JPEG quality 75`.
        conversions: the conversions that it needed to become 8-bit sRGB.
    """

    pixels: NDArray[np.uint8]
    format: str
    conversions: Sequence[str] = ()


class Loadable(NamedTuple):
    """An image that has not been read.

    Attributes:
        name: its name, as messages give it.
        load: function that opens it.
        held: bytes of it that `load` holds in memory.
    """

    name: str
    load: Callable[[], Image.Image]
    held: int = 0


# A function from the number of threads that decode to the images, in their order.
Pictures: TypeAlias = Callable[[int], Iterator[Picture]]


def ahead(images: Callable[[], Iterable[Loadable]], background: Background) -> Pictures:
    """Return a function that decodes images in threads ahead of their use, with limited memory.

    The memory of an image counts until the next image is asked for. Bytes of images that are held
    before these are decoded have as much of their own.

    Args:
        images: function that yields the images.
        background: what transparent pixels are blended with.
    """

    def pictures(threads: int) -> Iterator[Picture]:
        allowance = Allowance(AHEAD_BYTES * threads)
        coming: deque[tuple[Future[Picture], int]] = deque()
        remaining, held = enumerate(images()), 0
        pool = ThreadPoolExecutor(threads)
        try:
            while True:
                while len(coming) < AHEAD and (not coming or held < AHEAD_BYTES * threads):
                    if (found := next(remaining, None)) is None:
                        break
                    index, image = found
                    decoded = pool.submit(_decode, image, allowance, index, background)
                    coming.append((decoded, image.held))
                    held += image.held
                    del found, image, decoded  # they would keep the image in memory
                if not coming:
                    return
                size = coming[0][0].result().pixels.size
                allowance.next_turn()
                held -= coming[0][1]
                yield coming.popleft()[0].result()
                allowance.give(size)
        finally:
            allowance.lift()
            pool.shutdown(cancel_futures=True)

    return pictures


class Allowance:
    """Lets threads decode images ahead of their use, as long as these fit into a memory limit.

    The image that is needed next is decoded even beyond the limit, so that threads cannot wait for
    each other for ever.

    Args:
        limit: bytes of the images that are being decoded or that wait for their use.
    """

    def __init__(self, limit: int) -> None:
        self._free: float = limit
        self._turn = 0
        self._changed = Condition()

    def take(self, index: int, size: int) -> None:
        """Wait until the image number `index`, which needs `size` bytes, may be decoded."""
        with self._changed:
            self._changed.wait_for(lambda: index == self._turn or size <= self._free)
            self._free -= size

    def give(self, size: int) -> None:
        """Return `size` bytes that are no longer used."""
        with self._changed:
            self._free += size
            self._changed.notify_all()

    def next_turn(self) -> None:
        """Say that the next image in order is needed now."""
        with self._changed:
            self._turn += 1
            self._changed.notify_all()

    def lift(self) -> None:
        """Remove the limit, so that no thread waits any more: the images are no longer needed."""
        with self._changed:
            self._free = math.inf
            self._changed.notify_all()


def _decode(named: Loadable, allowance: Allowance, index: int, background: Background) -> Picture:
    """Read an image by `benchmark.data.pixels.decode`, once the allowance admits it."""
    name, open_image, _ = named
    formats = []
    taken = 0

    def load() -> Image.Image:
        nonlocal taken
        image = open_image()
        formats.append(stored_as(image))
        taken = DECODING * image.width * image.height
        allowance.take(index, taken)
        return image

    try:
        image, conversions = decode(load, background)
    except ValueError as error:
        raise BenchmarkError(f"{name}: not a readable image: {error}") from None
    pixels = _pixels(image)
    allowance.give(taken - pixels.size)
    return Picture(pixels, formats[0], conversions)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return an RGB image as an array, uint8 H×W×3.

    `np.asarray` of the whole image would need two more copies in memory.
    """
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(strip)
    return pixels
