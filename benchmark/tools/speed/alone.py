"""Does work in a process of its own, so that its peak of memory is known."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def in_new_process(work: Callable[..., _T], *arguments: object) -> _T:
    """Return what a function at the top level of a module returns in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(work, *arguments).result()
