"""How much memory this process has taken at most, and how it takes less."""

from __future__ import annotations

import ctypes
import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
ARENAS = -8  # M_ARENA_MAX of glibc's malloc.h


def peak_of_process() -> int:
    """Return the most bytes of this process that were resident at a time.

    Linux hands `ru_maxrss` on from the program that a process ran before, as a large one that
    starts a small one does; the high-water mark of its own memory is in /proc.
    """
    if STATUS.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.M)):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def share_one_heap() -> None:
    """Let threads that start from now on take memory from the heap of all, as far as glibc is used.

    By itself each has a heap of its own, and what it frees there is of no use to the others.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(ARENAS, 1)
