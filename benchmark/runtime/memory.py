"""The peak memory of this process, and how threads take less of it."""

from __future__ import annotations

import ctypes
import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
ARENAS = -8  # M_ARENA_MAX of glibc's malloc.h


def peak_of_process() -> int:
    """Return the peak resident memory of this process in bytes.

    On Linux, `ru_maxrss` of a process that a large one has started includes the peak of that
    process. The peak of its own memory stands in /proc.
    """
    if STATUS.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.M)):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def share_one_heap() -> None:
    """Let threads that start from now on share one heap, where the C library is glibc.

    By default each thread has its own, and no other thread can use the memory that is freed there.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(ARENAS, 1)
