"""Weight files: where they are searched for, and the check that they are the published ones."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.storage.atomic import flush
from benchmark.storage.downloads import fetch
from benchmark.storage.locks import lock

ENVIRONMENT = "BENCHMARK_WEIGHTS"  # environment variable: a folder of weight files


@dataclass(frozen=True)
class Weights:
    """A published weight file.

    Attributes:
        file: name of the file.
        sha256: hash of its content, in hexadecimal.
        size: its size in bytes.
        licence: licence under which it is published.
        mirrors: https addresses, which are tried in this order.
        package: installed Python package that contains the file, and the folder in the package.
    """

    file: str
    sha256: str
    size: int
    licence: str
    mirrors: tuple[str, ...] = ()
    package: tuple[str, str] | None = None

    def is_missing(self, cache: Path) -> bool:
        """Tell whether the file is in none of the folders that `locate` searches."""
        return not any((folder / self.file).exists() for folder in _folders(self, cache))


def locate(weights: Weights, cache: Path, path: Path | None = None) -> Path:
    """Return the path of the weight file, whose hash is checked.

    This is `path` if it is given, else the first file found in $BENCHMARK_WEIGHTS, in its package
    or in `cache`, else a download to `cache`.

    Raises:
        BenchmarkError: the file is not found and no mirror answers, or its hash is wrong.
    """
    if path is not None:
        return verify(path, weights)
    for folder in _folders(weights, cache):
        if (folder / weights.file).exists():
            return verify(folder / weights.file, weights)
    return _download(weights, cache)


def verify(path: Path, weights: Weights) -> Path:
    """Return `path` if it holds the published weights.

    Raises:
        BenchmarkError: the file cannot be read, or has another SHA-256.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read: {error.strerror}") from None
    if found != weights.sha256:
        raise BenchmarkError(
            f"{path}: its SHA-256 is {found}, not {weights.sha256} ({weights.size} bytes): "
            f"damaged or another file; delete it or put the published {weights.file} there"
        )
    return path


def _folders(weights: Weights, cache: Path) -> list[Path]:
    folders = [Path(os.environ[ENVIRONMENT])] if ENVIRONMENT in os.environ else []
    if weights.package is not None:
        package, inside = weights.package
        spec = importlib.util.find_spec(package)
        folders += [Path(p) / inside for p in (spec and spec.submodule_search_locations) or []]
    return [*folders, cache]


def _download(weights: Weights, cache: Path) -> Path:
    reasons = []
    for mirror in weights.mirrors:
        try:
            return _fetched(mirror, weights, cache)
        except (OSError, BenchmarkError) as error:
            reasons.append(f"{mirror}: {error}")
    why = "; ".join(reasons) or "it has no mirrors"
    raise BenchmarkError(
        f"{weights.file}: missing, and cannot be downloaded ({why}): put the file with SHA-256 "
        f"{weights.sha256} ({weights.size} bytes) into {cache} or into the folder ${ENVIRONMENT}"
    )


def _fetched(mirror: str, weights: Weights, cache: Path) -> Path:
    """Download a file; what an interrupted download has left is not asked for again."""
    whole, part = cache / weights.file, cache / f".{weights.file}.part"
    cache.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as held:
        lock(held.fileno())  # of several jobs one downloads
        if whole.exists():
            return verify(whole, weights)
        try:
            fetch(mirror, weights.size, part)
            verify(part, weights)
        except BenchmarkError:  # these are other bytes
            part.unlink()
            raise
        except OSError:
            if not part.stat().st_size:
                part.unlink()
            raise
        flush(part)
        part.replace(whole)
    return whole
