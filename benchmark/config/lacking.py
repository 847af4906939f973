"""All keys that a config lacks although their types do not ask for them, found in plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from benchmark.config.schema import Entry, Model
from benchmark.config.training import Training
from benchmark.core.strict_model import Lack, Needing
from benchmark.data.sources import SOURCES


def lacking_keys(content: Mapping[str, Any]) -> list[str]:
    """Return a line for each missing key that models, trainings, data and the grid need.

    A config that has wrong values elsewhere is not checked as a whole, so that what its parts lack
    is looked for in the plain data.

    Args:
        content: of a config, which may be wrong in any way.
    """
    return [
        f"{at}.{key}: {why}" if key else f"{at}: {why}"
        for at, lacks in _sections(content)
        for key, why in lacks
    ]


def _sections(content: Mapping[str, Any]) -> Iterator[tuple[str, list[Lack]]]:
    for name, source in _named(content, "data"):
        kind = SOURCES.classes.get(str(source.get("source")))
        if kind is not None and issubclass(kind, Needing):
            yield f"data.{name}", kind.lacking(source)
    for name, training in _named(content, "training"):
        yield f"training.{name}", Training.lacking(training)
    models = dict(_named(content, "models"))
    for name, model in models.items():
        yield f"models.{name}", Model.lacking(model)
    grid = content.get("grid")
    for index, entry in enumerate(grid if isinstance(grid, list) else []):
        if isinstance(entry, Mapping):
            yield f"grid.{index}", _lacking_entry(entry, models)


def _lacking_entry(entry: Mapping[str, Any], models: Mapping[Any, Mapping[str, Any]]) -> list[Lack]:
    """Return what a block of the grid lacks, if one of its models has no images."""
    named = entry.get("model")
    known = [
        models[n] for n in (named if isinstance(named, list) else [named]) if _is_key(n, models)
    ]
    is_sampled = any(model.get("images") is None for model in known)
    return Entry.lacking_of_sampling(entry) if is_sampled else []


def _is_key(name: object, models: Iterable[object]) -> bool:
    return isinstance(name, str) and name in models


def _named(content: Mapping[str, Any], section: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield the mappings of a section with their names."""
    found = content.get(section)
    for name, part in found.items() if isinstance(found, Mapping) else ():
        if isinstance(part, Mapping):
            yield name, part
