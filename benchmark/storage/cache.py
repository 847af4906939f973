"""A cache of results that take long to compute, shared by jobs and runs.

A damaged entry is named on stderr and computed again. A cache that cannot be written is still read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core.closure import digest
from benchmark.core.errors import one_line
from benchmark.storage import locks
from benchmark.storage.arrays import add_rows
from benchmark.storage.atomic import atomic_path

_T = TypeVar("_T")

READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


def cached(
    compute: Callable[[NDArray[Any]], _T], features: NDArray[Any], folder: Path, kind: type[_T]
) -> _T:
    """Return `compute(features)` from the cache, or compute and store it.

    The stored result is found for equal features and an unchanged module of `compute`.

    Args:
        compute: function at the top level of a module.
        features: features, N×d.
        folder: folder of the stored results.
        kind: dataclass of arrays that `compute` returns.
    """
    path = folder / f"{_identity(compute, features)}.npz"
    with entry_locked(path) as writable:
        found = _read(path, kind)
        if found is None:
            found = compute(features)
            if writable:
                with atomic_path(path) as temporary:
                    np.savez(temporary, **vars(found))
            else:
                say_not_cached(path)
    return found


@contextlib.contextmanager
def entry_locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a cache entry, and yield whether the cache can be written.

    On a file system without locks two processes may both compute the entry, and each writes it all.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.locked(path.with_suffix(".lock")))
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            yield False
            return
        yield True


def say_not_cached(path: Path) -> None:
    """Warn on stderr that a result cannot be stored, because the cache cannot be written."""
    print(
        f"warning: {path.parent}: cannot be written: what is missing there is computed and not "
        "kept; make the folder writable",
        file=sys.stderr,
    )


def _read(path: Path, kind: type[_T]) -> _T | None:
    """Return the stored result; None if there is none, or its checksums show that it is damaged."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return kind(**arrays)
    except Exception as error:  # on a damaged file the readers raise almost anything
        reason = one_line(error)
        print(f"warning: {path}: damaged: {reason}: made anew", file=sys.stderr)
        return None


def _identity(compute: Callable[[NDArray[Any]], _T], features: NDArray[Any]) -> str:
    identity = hashlib.sha256(digest([compute.__module__]).encode())
    kind = f"{features.dtype} {features.shape}"
    identity.update(f"{compute.__name__} {np.__version__} {kind}".encode())
    add_rows(identity, features)
    return identity.hexdigest()
