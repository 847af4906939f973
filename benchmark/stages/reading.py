"""Reads the images of a source, in processes of their own where these save time."""

from __future__ import annotations

import contextlib
import functools
import itertools
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.pixels import decode
from benchmark.data.sources.base import Item, Source
from benchmark.data.stored import stored_as

IMAGES_PER_WORKER = 200  # for fewer images, a further process takes longer to start than it saves
GREY = "greyscale"  # how `decode` calls the conversion from grey to colour
CHUNK = 8  # images that a worker takes at a time


class ReadImage(NamedTuple):
    """An image that was read, or the reason why it could not be.

    Attributes:
        name: its name in the source.
        pixels: uint8 H×W×C; None: it could not be read.
        notes: the conversions that it needed.
        problem: why it could not be read.
        label: number of its class; None: it has none.
        format: format of its file, as `JPEG quality 75`; empty: it comes from no file.
    """

    name: str
    pixels: NDArray[np.uint8] | None
    notes: list[str]
    problem: str = ""
    label: int | None = None
    format: str = ""


# A function that reads items of a source, in their order.
Reader: TypeAlias = Callable[[Source, Iterable[Item]], Iterator[ReadImage]]


@contextlib.contextmanager
def reading(images: int, workers: int) -> Iterator[Reader]:
    """Yield a function that reads items, with processes of its own where they save time.

    Args:
        images: number of images that will be read.
        workers: the most processes that it may use.
    """
    workers = max(1, min(workers, images // IMAGES_PER_WORKER))
    pool = _pool(workers) if workers > 1 else None
    if pool is None:
        yield lambda source, items: map(functools.partial(_read, source), items)
        return
    with pool:
        yield functools.partial(_read_in, pool, 4 * CHUNK * workers)


def _pool(workers: int) -> ProcessPoolExecutor | None:
    """Return a pool of processes; None where none can be made, as on systems without /dev/shm."""
    # Not by fork: the fork of a process that has threads may hang.
    context = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    except (OSError, NotImplementedError, ImportError) as error:
        print(f"warning: images are read by one process alone: {error}", file=sys.stderr)
        return None


def _end_with_parent() -> None:
    """Let this worker end when its parent is killed: it would wait for work for ever."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _read_in(
    pool: ProcessPoolExecutor, window: int, source: Source, items: Iterable[Item]
) -> Iterator[ReadImage]:
    """Read items in a pool, `window` of which are on their way while others are taken.

    More would be in memory all at once.
    """
    remaining = iter(items)
    chunks = iter(lambda: list(itertools.islice(remaining, CHUNK)), [])
    read = functools.partial(_read_all, source)
    running = deque(pool.submit(read, chunk) for chunk in itertools.islice(chunks, window // CHUNK))
    while running:
        done = running.popleft().result()
        running.extend(pool.submit(read, chunk) for chunk in itertools.islice(chunks, 1))
        yield from done


def _read_all(source: Source, items: Sequence[Item]) -> list[ReadImage]:
    return [_read(source, item) for item in items]


def _read(source: Source, item: Item) -> ReadImage:
    formats: list[str] = []

    def load() -> Image.Image:
        image = item.load()
        if image.format:
            formats.append(stored_as(image))
        return image

    try:
        image, notes = decode(load)
        if source.channels == 1:
            notes = _to_grey(notes)
        if source.enlarges and min(image.size) < source.resolution:
            notes.append("enlarged")
        label = item.label() if callable(item.label) else item.label
        return ReadImage(item.name, source.pixels(image), notes, "", label, "".join(formats))
    except ValueError as error:
        return ReadImage(item.name, None, [], str(error))


def _to_grey(notes: list[str]) -> list[str]:
    """Return the conversions of an image to colour as those of one to grey."""
    left = [note for note in notes if note != GREY]
    return left if GREY in notes else [*left, "colour to grey"]
