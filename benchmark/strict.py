"""The base of every model that reads something a user wrote."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

# A name becomes part of file names: with these characters it cannot leave its folder.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=80)]
LONGEST = 200  # characters of an id: files are named after it
Id = Annotated[str, StringConstraints(pattern=NAME, max_length=LONGEST)]

Seed = Annotated[int, Field(ge=0, lt=2**63)]
LegacySeed = Annotated[int, Field(ge=0, lt=2**32)]  # of NumPy's RandomState
Groups = Annotated[int, Field(ge=2, le=10_000)]  # of a jackknife
MOST_IMAGES = 10_000_000  # of one set: five times more than the largest published ones


def nearest(name: object, names: Iterable[str]) -> str:
    """Return a sentence that lists the right names, the closest first when one is close."""
    known = sorted(names)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return (f"did you mean {close[0]!r}? " if close else "") + "known: " + ", ".join(known)


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and names the nearest right one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for key in value:
                if key not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key {key}: {nearest}",
                        {"key": repr(key), "nearest": nearest(key, cls.model_fields)},
                    )
                _refuse_other_types(key, cls.model_fields[key].annotation, value[key])
        return value


def _refuse_other_types(key: str, annotation: Any, value: Any) -> None:
    """Refuse what pydantic would convert silently: true or "1" is no number, 1 is no truth value.

    3e-3 is text to YAML, so text may be a float.
    """
    number = annotation in (int, float, int | None, float | None)
    text_is_wrong = annotation in (int, int | None)
    if (number and (isinstance(value, bool) or (text_is_wrong and isinstance(value, str)))) or (
        annotation is bool and not isinstance(value, bool)
    ):
        needed = "true or false" if annotation is bool else "a number"
        raise PydanticCustomError(
            "wrong_type",
            "{key}: {needed} is needed, not {value}",
            {"key": key, "needed": needed, "value": repr(value)},
        )


def explain(error: ValidationError, content: Any) -> str:
    """Return one line: the path of the first wrong key, what is wrong, what would be right.

    Args:
        error: what pydantic says.
        content: the data that it was asked to check.
    """
    details = error.errors()
    where = ".".join(_path(details[0], content))
    if not where.isprintable():  # a name with a line break in it
        where = repr(where)[1:-1]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{where}: {_what(details[0])}{more}" if where else _what(details[0]) + more


def _path(detail: ErrorDetails, content: Any) -> list[str]:
    """Return the location without the tags of unions, which stand in no file."""
    path = []
    for part in detail["loc"]:
        try:
            content = content[part]
        except (LookupError, TypeError):
            if detail["type"] != "missing" or part != detail["loc"][-1]:
                continue
        path.append(str(part))
    return path


def _what(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_invalid":
        known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        kind = context["discriminator"].strip("'")
        return f"no {kind} {context['tag']!r}: {nearest(context['tag'], known)}"
    if detail["type"] == "missing":
        return "this key is missing"
    message = detail["msg"].removeprefix("Value error, ")
    plain = isinstance(detail["input"], str | int | float | bool | None)
    if detail["type"] in {"value_error", "unknown_key", "wrong_type"} or not plain:
        return message
    return f"{message}, not {detail['input']!r}"
