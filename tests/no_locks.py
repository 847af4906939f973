"""Lets Python programs behave as on a file system without locks."""

from __future__ import annotations

from pathlib import Path

# Python imports a module of this name by itself when it starts.
MODULE = "sitecustomize.py"
CONTENT = """
import fcntl, os

def flock(file, operation):
    raise OSError({number}, os.strerror({number}))

fcntl.flock = flock
"""


def without_locks(folder: Path, number: int) -> Path:
    """Write a module that lets all attempts to lock a file fail, in programs that import it.

    Args:
        folder: the folder to write the module into, which is returned.
        number: number of the error, as `errno.ENOLCK`.
    """
    (folder / MODULE).write_text(CONTENT.format(number=number))
    return folder
