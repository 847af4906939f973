"""A file system without locks, as Python programs see it."""

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
    """Return `folder`, which on PYTHONPATH lets each attempt to lock a file fail.

    Args:
        folder: where a module is written.
        number: of the error, as `errno.ENOLCK`.
    """
    (folder / MODULE).write_text(CONTENT.format(number=number))
    return folder
