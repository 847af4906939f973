"""The base of every model that reads something a user wrote."""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

MOST_TOLD = 8  # the most unknown keys of one mapping that a message names
MOST_LINES = 30  # the most unknown or missing keys that a message names
NEAR, SURE = 0.5, 0.75  # how alike names must be to ask for one, and to take one for the other
LONGEST_VALUE = 60  # the most characters of a value that a message shows
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SURROGATE = re.compile(r"[\ud800-\udfff]")  # half a character, which no UTF-8 file can hold
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


_RIGHT: dict[str, str] = {}  # which texts a regular expression accepts, in words


def text(pattern: str, right: str, longest: int | None = None) -> StringConstraints:
    """Return the constraint that a text matches `pattern`; its error says what would be `right`."""
    _RIGHT[pattern] = right
    return StringConstraints(pattern=pattern, max_length=longest)


def right(pattern: str) -> str:
    """Return in words which texts match a pattern, as it was given to `text`."""
    return _RIGHT[pattern]


# A name becomes part of file names: with these characters it cannot leave its folder.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
RIGHT_NAME = "a letter of A-Z or a-z or a digit, followed by these and by . _ + - alone"
LONGEST = 200  # the most characters of an id, after which files are named
Name = Annotated[str, text(NAME, RIGHT_NAME, 80)]
Id = Annotated[str, text(NAME, RIGHT_NAME, LONGEST)]
Sha256 = Annotated[str, text("^[0-9a-f]{64}$", "64 hexadecimal digits in small letters")]
Commit = Annotated[str, text("^[0-9a-f]{40}$", "a commit of 40 hexadecimal digits")]

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
LegacySeed = Annotated[int, Field(ge=0, lt=2**32)]  # a seed of NumPy's RandomState
Groups = Annotated[int, Field(ge=2, le=10_000)]  # the number of groups of a jackknife
MOST_IMAGES = (
    10_000_000  # the most images of a set: five times as many as in the largest published one
)


def _one_line(value: Path | str) -> Path | str:
    """Refuse control characters, such as line breaks, in a path: a message is one line."""
    if CONTROL.search(str(value)):
        raise ValueError(f"text without control characters is needed, not {shown(str(value))}")
    return value


def _expand(path: Path) -> Path:
    """Replace a leading ~ by the home folder, as a shell does."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"{path}: nobody of this name has a home folder: write it out") from None


UserPath = Annotated[Path, AfterValidator(_one_line), AfterValidator(_expand)]
# A path, or another text, such as an id on a hub.
UserText = Annotated[str, AfterValidator(_one_line), AfterValidator(os.path.expanduser)]


def nearest_names(name: object, names: Iterable[str]) -> str:
    """Return a sentence that lists the known names; if one of them is close, it is named first."""
    known = sorted(names)
    if not known:
        return "none is defined"
    return " ".join(filter(None, (_meant(name, known), _known(known))))


def _meant(name: object, known: Iterable[str]) -> str:
    close = _closest(name, known, NEAR)
    return f"did you mean {close!r}?" if close else ""


def surely_meant(name: object, known: Iterable[str]) -> str:
    """Return the known name that an unknown one surely stands for; "" where that is not sure."""
    return _closest(name, known, SURE)


def _closest(name: object, known: Iterable[str], alike: float) -> str:
    """Return the known name that is most like an unknown one; "" if none is so much `alike`."""
    return next(iter(difflib.get_close_matches(str(name)[:1000], known, n=1, cutoff=alike)), "")


def _known(names: Iterable[str]) -> str:
    return "known: " + ", ".join(sorted(names))


def _unknown(keys: Sequence[object], known: Sequence[str]) -> str:
    """Return a sentence that names the unknown keys, and then once all known keys."""
    if len(keys) == 1:
        return f"unknown key {shown(keys[0])}: {nearest_names(keys[0], known)}"
    meant = ((shown(key), _meant(key, known)) for key in keys[:MOST_TOLD])
    told = ", ".join(f"{key} ({guess})" if guess else key for key, guess in meant)
    return f"unknown keys {told}{_more(len(keys) - MOST_TOLD)}: {_known(known)}"


def shown(value: object) -> str:
    """Return a value as a message shows it: on one line, and cut if it is long."""
    try:
        line = repr(value[:1000]) if isinstance(value, str) else reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return line if len(line) <= LONGEST_VALUE else f"{line[:LONGEST_VALUE]}…"


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys and what pydantic would convert silently."""

    # A command uses few of the models that its modules define: each is built when it is used first.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_would_be_ignored(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        unknown = [key for key in value if key not in cls.model_fields]
        if unknown:
            told = _unknown(unknown, sorted(cls.model_fields))
            meant = {key: surely_meant(key, cls.model_fields) for key in unknown}
            # What a user wrote comes last: it may look like the name of another part.
            context = {"unknown": meant, "told": told}
            raise PydanticCustomError("unknown_key", "{told}", context)
        for key, item in value.items():
            for place, needed, found in _mismatches(cls.model_fields[key].annotation, item):
                raise PydanticCustomError(
                    "wrong_type",
                    "{needed} is needed, not {found}",
                    {"place": (key, *place), "needed": needed, "found": shown(found)},
                )
        return value


Lack = tuple[str, str]  # a missing key, or "" for one of several, and why it is needed


class Needing(StrictModel):
    """A model that needs keys of which its types say that they may be left out."""

    @classmethod
    def lacking(cls, given: Mapping[str, Any]) -> list[Lack]:
        """Return which keys are missing that no type asks for, and why they are needed.

        Args:
            given: what is given, which may be of any type, or be missing.
        """
        raise NotImplementedError

    @model_validator(mode="after")
    def _refuse_what_is_lacking(self) -> Self:
        for key, why in self.lacking(dict(self)):
            place = (key,) if key else ()
            raise PydanticCustomError("missing_key", "{told}", {"place": place, "told": why})
        return self


Mismatch = tuple[tuple[str | int, ...], str, object]  # place, what is needed, what was found


def _mismatches(kind: Any, value: Any) -> Iterator[Mismatch]:
    """Yield what pydantic would convert silently to the type `kind`, or refuse without a remedy.

    True is no number, and 1 is neither a truth value nor a text. The text "1" is no integer, but it
    may stand for a float, since YAML 1.1 reads 1e-3 as a text.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _mismatches(arguments[0], value)
    elif origin in (Union, UnionType):
        found = [list(_mismatches(argument, value)) for argument in arguments]
        if value is not None and all(found):
            names = [each[0][1] for each in found if each[0][1] != "null"]
            deepest = max((each[0] for each in found), key=lambda each: len(each[0]))
            yield deepest if deepest[0] else ((), " or ".join(dict.fromkeys(names)), value)
    elif origin is Literal:
        if not any(type(value) is type(a) and value == a for a in arguments):
            yield (), " or ".join(map(repr, arguments)), value
    elif origin in (list, tuple):
        yield from _of_items(arguments, value)
    elif origin is dict and isinstance(value, dict):
        yield from _of_entries(arguments, value)
    elif needed := _needed(kind, value):
        yield (), needed, value


def _of_items(arguments: tuple[Any, ...], value: Any) -> Iterator[Mismatch]:
    """Yield the mismatches in a sequence; a single item stands for a list of one item."""
    if not isinstance(value, list | tuple):
        yield from _mismatches(arguments[0], value)
        return
    kinds = arguments if arguments[-1] is not ... else arguments[:1]
    for index, item in enumerate(value):
        for place, needed, found in _mismatches(kinds[min(index, len(kinds) - 1)], item):
            yield (index, *place), needed, found


def _of_entries(arguments: tuple[Any, ...], value: Mapping[Any, Any]) -> Iterator[Mismatch]:
    name, kind = arguments
    for key, item in value.items():
        if name is not int:  # in records, since the keys of JSON are texts
            for _, _, found in _mismatches(name, key):
                yield (), "a text as name (put it in quotes)", found
        for place, needed, found in _mismatches(kind, item):
            yield (str(key), *place), needed, found


def _needed(kind: Any, value: Any) -> str:
    """Return what is needed instead of a value for a plain type; empty if the value will do."""
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    if kind is int:
        return "a number" if isinstance(value, bool | str | NoneType) else ""
    if kind is float:
        word = isinstance(value, str) and not NUMBER.fullmatch(value)
        return "a number" if word or isinstance(value, bool | NoneType) else ""
    if kind is str or kind is Path:
        return _needed_text(kind, value)
    if kind is NoneType:
        return "" if value is None else "null"
    return ""


def _needed_text(kind: Any, value: Any) -> str:
    if kind is Path and value == "":
        return "a path (. is the folder that we are in)"
    if isinstance(value, str) and SURROGATE.search(value):
        return "a text without halves of characters (surrogates)"
    if isinstance(value, bool | int | float | NoneType):
        return "a text (put it in quotes)"
    return "" if isinstance(value, str | Path) else "a text"


def explain(error: ValidationError, content: Any, more: Sequence[str] = ()) -> str:
    """Return one line: which key is wrong, what is wrong, what would be right.

    It names all unknown or missing keys; where there are none, only the first mistake.

    Args:
        error: error that pydantic raised.
        content: data that pydantic checked.
        more: lines on further missing keys.
    """
    details = error.errors()
    lines = list(dict.fromkeys([*of_keys(details, content), *more]))
    left = sum(_line(detail, content) not in lines for detail in details)
    if not lines:
        lines, left = [_line(details[0], content)], left - 1
    line = "; ".join(lines[:MOST_LINES]) + _more(left + len(lines[MOST_LINES:]))
    # names may contain line breaks and other control characters
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def of_keys(details: Iterable[ErrorDetails], content: Any) -> list[str]:
    """Return a line for each unknown or missing key that pydantic found in `content`."""
    return [_line(detail, content) for detail in details if detail["type"] in _OF_KEYS]


_MISSING = "this key is missing"
_OF_KEYS = ("missing", "missing_key", "unknown_key", "union_tag_not_found")


def is_missing(path: str) -> str:
    """Return the line on a missing key."""
    return f"{path}: {_MISSING}"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _more(left: int) -> str:
    return f" (and {left} more)" if left > 0 else ""


def _line(detail: ErrorDetails, content: Any) -> str:
    where = ".".join(path_of(detail, content))
    return f"{where}: {_what(detail)}" if where else _what(detail)


def path_of(detail: ErrorDetails, content: Any) -> list[str]:
    """Return the location of a mistake, without the tags of unions, which are not in the file."""
    path = []
    for part in detail["loc"]:
        try:
            content = content[part]
        except (LookupError, TypeError):
            if detail["type"] != "missing" or part != detail["loc"][-1]:
                continue
        path.append(str(part))
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_not_found":
        path.append(context["discriminator"].strip("'"))
    return path + [str(part) for part in context.get("place", ())]


def _what(detail: ErrorDetails) -> str:
    context, value = detail.get("ctx", {}), detail["input"]
    if detail["type"] == "union_tag_invalid":
        known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        kind = context["discriminator"].strip("'")
        return f"no {kind} {shown(context['tag'])}: {nearest_names(context['tag'], known)}"
    if detail["type"] == "union_tag_not_found":
        meant = surely_meant(context["discriminator"].strip("'"), filter(_is_text, value))
        return _MISSING + (f": did you mean it by {shown(meant)}?" if meant else "")
    if detail["type"] == "missing":
        return _MISSING
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"a mapping of keys is needed, not {shown(value)}"
    if right := _RIGHT.get(context.get("pattern", "")):
        return f"{right} is needed, not {shown(value)}"
    message = detail["msg"].removeprefix("Value error, ")
    plain = isinstance(value, str | int | float | bool | None)
    if detail["type"] in {"value_error", "wrong_type", *_OF_KEYS} or not plain:
        return message
    return f"{message}, not {shown(value)}"
