"""Reads the images of a source, in processes of their own where these save time."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
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
CHUNKS = 4  # that are on their way for each worker
# Bytes of images that are on their way for each worker, where they come out of a file of many in
# which the worker cannot find them by itself.
HELD = 2**26


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
        yield functools.partial(_read_in, pool, workers)


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
    pool: Executor, workers: int, source: Source, items: Iterable[Item]
) -> Iterator[ReadImage]:
    """Read items in a pool, some of which are on their way while others are taken.

    More, be it in number or in bytes, would be in memory all at once.
    """
    chunks = _chunks(items, HELD // CHUNKS)
    coming = next(chunks, None)
    running: deque[tuple[Future[list[ReadImage]], int]] = deque()
    free = HELD * workers
    while coming or running:
        while coming and len(running) < CHUNKS * workers:
            held = sum(item.held for item in coming)
            if running and held > free:
                break
            running.append((pool.submit(_read_all, source, coming), held))
            free -= held
            coming = next(chunks, None)
        future, held = running.popleft()
        done = future.result()
        free += held
        yield from done


def _chunks(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """Yield items together, as many as a worker takes at a time; few if they hold much memory."""
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK or sum(each.held for each in chunk) >= most:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


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
