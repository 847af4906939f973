"""Fetches all that a run needs from outside: data, weights and the network of its features."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from benchmark.config.config import Config
from benchmark.config.loading import load_config, read_config
from benchmark.config.needs import downloads
from benchmark.core.errors import BenchmarkError
from benchmark.data.sources import SOURCES
from benchmark.data.sources.base import Source
from benchmark.storage.downloads import Download
from benchmark.storage.paths import Run


def fetch(path: Path, results: Path) -> Iterator[str]:
    """Fetch what a run needs and no cache has; interrupted, it goes on when it is called again.

    Data sets come first: those of the hub tell only then which classes they have, without which
    the config cannot be checked.

    Args:
        path: the config.
        results: folder of all runs, whose cache gets weights.

    Yields:
        A line for each thing, once it is there.

    Raises:
        BenchmarkError: the config is wrong, or something cannot be fetched.
    """
    for name, source in _sources(read_config(path)):
        if missing := source.unfetched():
            yield _fetched(f"data.{name}", missing, source)
    config: Config = load_config(path)
    for key, missing, get in downloads(config, Run(results / config.run)):
        _check(key, missing)
        get()
        yield key


def _sources(content: dict[str, Any]) -> Iterator[tuple[str, Source]]:
    """Yield the data sets that a config uses; wrong ones are left to the check of all of it."""
    data, used = content.get("data"), set(_used(content))
    for name, spec in data.items() if isinstance(data, dict) else ():
        if name not in used:
            continue
        try:
            yield str(name), TypeAdapter(SOURCES.union()).validate_python(spec)
        except ValidationError:
            continue


def _used(content: dict[str, Any]) -> Iterator[object]:
    """Yield the names of the data sets of models and classifiers."""
    for section in ("models", "classifiers"):
        parts = content.get(section)
        for part in parts.values() if isinstance(parts, dict) else ():
            if isinstance(part, dict) and isinstance(part.get("data"), str):
                yield part["data"]


def _fetched(key: str, missing: Download, source: Source) -> str:
    _check(key, missing)
    source.offer()
    return key


def _check(key: str, missing: Download) -> None:
    if missing.refused:
        raise BenchmarkError(f"{key}: must be downloaded, but {missing.refused}; {missing.remedy}")
