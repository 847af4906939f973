"""Progress of long work, always on stderr: stdout belongs to results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


def track(
    items: Iterable[T], total: int, description: str, told: Callable[[], str] = lambda: ""
) -> Iterator[T]:
    """Yield `items` and show how many of `total` are done.

    A terminal gets a bar; anything else gets a plain line about every ten seconds, so that a log
    stays short and work that ends sooner leaves no line at all.

    Args:
        items: what is worked on.
        total: number of the items.
        description: what a line begins with.
        told: returns what a line ends with, as the loss.
    """
    if sys.stderr.isatty():
        return _bar(items, total, description)
    return _lines(items, total, description, told)


def _bar(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    yield from rich_track(items, description=description, total=total, console=console)


def _lines(
    items: Iterable[T], total: int, description: str, told: Callable[[], str]
) -> Iterator[T]:
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / done * (total - done)
            line = f"{description}: {done}/{total}, {now - start:.0f} s, about {left:.0f} s left"
            line = ", ".join(filter(None, [line, told()]))
            print(line, file=sys.stderr, flush=True)
