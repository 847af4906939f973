"""Progress of long work, always on stderr: stdout belongs to results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield `items` and show how many of `total` are done.

    A terminal gets a bar; anything else gets a plain line about every ten seconds, so that a log
    stays short and work that ends sooner leaves no line at all.
    """
    return (_bar if sys.stderr.isatty() else _lines)(items, total, description)


def _bar(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    yield from rich_track(items, description=description, total=total, console=console)


def _lines(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / done * (total - done)
            line = f"{description}: {done}/{total}, {now - start:.0f} s, about {left:.0f} s left"
            print(line, file=sys.stderr, flush=True)
