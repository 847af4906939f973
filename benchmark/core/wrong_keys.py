"""All unknown and missing keys of data that a strict model reads, whatever else is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import (
    MOST_LINES,
    StrictModel,
    is_missing,
    of_keys,
    path_of,
    surely_meant,
)


class _Dropped(NamedTuple):
    """A value of the wrong type that was taken out of a mapping, and where it stood."""

    mapping: dict[Any, Any]
    key: Any
    value: Any
    path: str


def wrong_keys(
    model: type[StrictModel], content: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """Return a line for each unknown or missing key, and the content with the names that are meant.

    An unknown key or a value of the wrong type keeps all else in its mapping from being checked. So
    an unknown key gets the name that is surely meant, or goes; a value of the wrong type goes; and
    the rest is checked again. What stands beside a wrong `kind` cannot be checked.

    Args:
        model: what reads the content.
        content: plain data, which is not changed.
    """
    lines: list[str] = []
    dropped: list[_Dropped] = []
    try:
        mended = {key: _plain(value) for key, value in content.items()}
    except RecursionError:  # an anchor of YAML that contains itself
        return [], dict(content)
    for _ in range(MOST_LINES):
        try:
            model.model_validate(mended)
            break
        except ValidationError as error:
            details = [d for d in error.errors() if not _is_of_dropped(d, dropped)]
            ignored = {*lines, *(is_missing(each.path) for each in dropped)}
            lines += [line for line in of_keys(details, mended) if line not in ignored]
            found = [_mend(detail, mended, dropped) for detail in details]
            if not any(found):
                break
        except (RecursionError, BenchmarkError):  # what is wrong beside keys is told elsewhere
            break
    for each in dropped:
        each.mapping[each.key] = each.value
    return lines, mended


def _is_of_dropped(detail: ErrorDetails, dropped: Iterable[_Dropped]) -> bool:
    """Tell whether a validator asks for a key of a mapping that has lost some."""
    lost = (each.mapping is detail["input"] for each in dropped)
    return detail["type"] == "missing_key" and any(lost)


def _mend(detail: ErrorDetails, content: Any, dropped: list[_Dropped]) -> bool:
    """Change the mapping in which a mistake was found; return whether the mistake is mended."""
    mapping, context = detail["input"], detail.get("ctx", {})
    if detail["type"] == "unknown_key":
        for key, meant in context["unknown"].items():
            if key in mapping:
                value = mapping.pop(key)
                if meant:
                    mapping.setdefault(meant, value)
        return True
    if detail["type"] == "union_tag_not_found":
        kind = context["discriminator"].strip("'")
        key = surely_meant(kind, [key for key in mapping if isinstance(key, str)])
        if key:
            mapping[kind] = mapping.pop(key)
        return bool(key)
    if detail["type"] == "wrong_type":
        key, *below = context["place"]
        path = path_of(detail, content)
        if key in mapping:
            value = mapping.pop(key)
            dropped.append(_Dropped(mapping, key, value, ".".join(path[: len(path) - len(below)])))
            return True
    return False


def _plain(value: Any) -> Any:
    """Copy mappings and lists, also those that YAML has put in several places."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
