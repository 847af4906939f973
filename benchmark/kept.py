"""What follows from features alone and takes long, kept for other jobs and runs."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock

from benchmark.atomic import atomic_path
from benchmark.metrics.base import Features

T = TypeVar("T")


def kept(compute: Callable[[Features], T], features: Features, folder: Path, kind: type[T]) -> T:
    """Return `compute(features)`, computed once for equal features by an equal module.

    Args:
        compute: a function of a module.
        features: N×d.
        folder: where results are kept.
        kind: the dataclass of arrays that `compute` returns.
    """
    path = folder / f"{_identity(compute, features)}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            found = compute(features)
            with atomic_path(path) as temporary:
                np.savez(temporary, **vars(found))
    with np.load(path) as arrays:
        return kind(**arrays)


def _identity(compute: Callable[[Features], T], features: Features) -> str:
    rows = np.ascontiguousarray(features)
    identity = hashlib.sha256(Path(inspect.getfile(compute)).read_bytes())
    identity.update(f"{compute.__name__} {np.__version__} {rows.dtype} {rows.shape}".encode())
    identity.update(rows.data)
    return identity.hexdigest()
