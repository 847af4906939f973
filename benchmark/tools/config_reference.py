"""Makes the page docs/config.md, on every key of a config, from the JSON schema of a config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benchmark.core.strict_model import NAME, right

Schema = dict[str, Any]  # the JSON schema of one key, or of a whole config

_POWERS = {2**32: "2³²", 2**63: "2⁶³"}
_HEAD = " ".join(
    [
        "# What a config may say\n\nMade by `python -m benchmark schema --markdown >",
        "docs/config.md` from the same classes that check a config. `python -m benchmark config",
        "FILE` prints a config with every default.\nA key without a default must be given. Where a",
        "heading says NAME, the config chooses it: a letter or digit, followed by these and by\n`.",
        "_ + -` alone. A list of one may be given as its item. The last column has a value of the",
        "key, and where a short one is known, another than the default.",
    ]
)
# A small config that has each section.
EXAMPLE = """\
run: faces
data:
  faces: {source: avatars, resolution: 16, train: 200, held_out: 50, label: hair}
schedules:
  short: {kind: linear, T: 100}
samplers:
  noisy: {kind: ddim, eta: 0.5}
networks:
  small: {kind: unet, channels: [32, 64], attention: [false, true]}
training:
  quick: {steps: 200, batch: 16}
classifiers:
  hair: {data: faces, schedule: short, network: small, training: quick}
models:
  DDPM: {family: DDPM, data: faces, network: small, training: quick}
grid:
  - {table: trained, model: DDPM, schedule: short, sampler: [ddpm, noisy], steps: 100, samples: 32}
  - {table: steered, model: DDPM, schedule: short, sampler: ddim, steps: 20, samples: 32,
     classifier: hair, guidance: [1, 3]}
evaluation:
  metrics: {fd: {kind: frechet}, recall: {kind: recall}}
likelihood: {model: DDPM, images: 16}
"""


def reference(schema: Schema) -> str:
    """Return the page in Markdown.

    Args:
        schema: the JSON schema of a config; its properties are in the order of the page.
    """
    definitions = schema.get("$defs", {})
    keys = {key: _resolved(value, definitions) for key, value in schema["properties"].items()}
    sections = [_HEAD, "## Keys of the file", _table(schema, keys, definitions)]
    sections += ["Together, with a part in each place:", f"```yaml\n{EXAMPLE}```"]
    for key, value in keys.items():
        sections += _section(key, value, definitions)
    return "\n\n".join(sections) + "\n"


def _section(key: str, value: Schema, definitions: dict[str, Schema]) -> Iterator[str]:
    """Yield the paragraphs on a key of the file that holds further keys."""
    if "patternProperties" in value:
        [item] = value["patternProperties"].values()
        yield from _described(f"{key}.NAME", _resolved(item, definitions), definitions)
    elif "items" in value and "properties" in (item := _resolved(value["items"], definitions)):
        yield from _described(f"{key}[…]", item, definitions)
    for item in _alternatives(value, definitions):  # of which one may be null
        if "properties" in item:
            yield from _described(key, item, definitions)


def _described(place: str, value: Schema, definitions: dict[str, Schema]) -> Iterator[str]:
    """Yield the section on a block of keys, or on each part that may stand there.

    Args:
        place: the keys that lead to it, such as `models.NAME.weights`.
        value: its JSON schema.
        definitions: the schemas that references name.
    """
    if "discriminator" not in value:
        yield f"## `{place}`"
        yield from _keys(value, definitions)
        yield from _choices(place, value, definitions)
        return
    name = value["discriminator"]["propertyName"]
    mapping = value["discriminator"]["mapping"]
    yield f"## `{place}`"
    yield f"`{name}` says which of these it is: {', '.join(f'`{each}`' for each in mapping)}."
    inner: dict[str, Schema] = {}  # keys of parts, of which some choose parts themselves
    for each, link in mapping.items():
        part = _resolved({"$ref": link}, definitions)
        inner |= part["properties"]
        yield f"### `{name}: {each}`"
        yield from _keys(part, definitions, without=name)
    yield from _choices(place, {"properties": inner}, definitions)


def _choices(place: str, value: Schema, definitions: dict[str, Schema]) -> Iterator[str]:
    """Yield the sections on those keys of a block that choose one of several parts."""
    for key, inner in value["properties"].items():
        for item in _alternatives(_resolved(inner, definitions), definitions):
            found = next(iter(item.get("patternProperties", {}).values()), item)
            more = ".NAME" if found is not item else ""
            if "discriminator" in item.get("items", {}):
                found, more = item["items"], "[…]"
            if "discriminator" in found:
                yield from _described(f"{place}.{key}{more}", found, definitions)


def _keys(
    value: Schema, definitions: dict[str, Schema], without: str | None = None
) -> Iterator[str]:
    """Yield the description of a block, and the table of its keys but for the key `without`."""
    if text := value.get("description"):
        yield _sentence(text)
    keys = {key: inner for key, inner in value["properties"].items() if key != without}
    yield _table(value, keys, definitions) if keys else "It has no options."


def _table(value: Schema, keys: dict[str, Schema], definitions: dict[str, Schema]) -> str:
    lines = ["| key | value | default | meaning | for example |", "|---|---|---|---|---|"]
    for key, inner in keys.items():
        is_needed = key in value.get("required", ())
        default = "" if is_needed else _default(inner.get("default"))
        kind = _kind(inner, definitions)
        meaning, example = _sentence(inner.get("description", "")), _example(inner, definitions)
        lines.append(f"| `{key}` | {kind} | {default} | {meaning} | {example} |")
    return "\n".join(lines)


def _example(value: Schema, definitions: dict[str, Schema]) -> str:
    """Return a value that a key takes: the one that it names, else one that is not its default."""
    default = value.get("default")
    choices = [*value.get("examples", ()), *_values(value, definitions)]
    for each in [each for each in choices if each != default] + [default]:
        if each not in (None, "", [], {}):
            return f"`{_plain(each)}`"
    return ""


def _values(value: Schema, definitions: dict[str, Schema]) -> Iterator[Any]:
    """Yield the values of a key that has a few."""
    for each in _alternatives(_resolved(value, definitions), definitions):
        yield from each.get("enum", ())
        if "const" in each:
            yield each["const"]
        if each.get("type") == "boolean":
            yield from (True, False)


def _kind(value: Schema, definitions: dict[str, Schema]) -> str:
    """Return in words which values a key may have."""
    value = _resolved(value, definitions)
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{_plain(each)}`" for each in value["enum"])
    if "discriminator" in value or "properties" in value:
        return "keys, see below"
    if len(found := _alternatives(value, definitions)) > 1:
        return " or ".join(dict.fromkeys(_kind(each, definitions) for each in found))
    kind = value.get("type")
    if kind == "array":
        return _list(value, definitions)
    if kind == "object":
        return "names with their keys, see below" if "patternProperties" in value else "keys"
    if kind in ("integer", "number"):
        return _number(value)
    if kind == "string":
        return _text(value)
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "anything")


def _list(value: Schema, definitions: dict[str, Schema]) -> str:
    if "prefixItems" in value:
        return "[" + ", ".join(_kind(each, definitions) for each in value["prefixItems"]) + "]"
    return f"list of: {_kind(value.get('items', {}), definitions)}"


def _number(value: Schema) -> str:
    bounds = [
        f"{sign} {_POWERS.get(value[key]) or _digits(value[key])}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in value
    ]
    return " ".join([value["type"], " and ".join(bounds)]).strip()


def _digits(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,}"


def _text(value: Schema) -> str:
    if value.get("format") == "path":
        return "path"
    pattern = value.get("pattern", "")
    if pattern == NAME:
        return "name"
    return f"text: {right(pattern)}" if pattern else "text"


def _alternatives(value: Schema, definitions: dict[str, Schema]) -> list[Schema]:
    return [_resolved(each, definitions) for each in value.get("anyOf", [value])]


def _resolved(value: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return the schema that a reference names, with the description and default at its place."""
    link = value.get("$ref")
    if link is None:
        return value
    return definitions[link.rpartition("/")[2]] | {k: v for k, v in value.items() if k != "$ref"}


def _default(value: Any) -> str:
    """Return a default value as the table shows it."""
    if isinstance(value, dict):
        return ", ".join(f"`{key}: {_plain(inner)}`" for key, inner in value.items()) or "none"
    return "none" if value in ("", []) else f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    """Return a value as YAML writes it."""
    if isinstance(value, bool | None):
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_plain(inner)}' for key, inner in value.items())}}}"
    return str(value)


def _sentence(text: str) -> str:
    """Return text as one line that a cell of a Markdown table can hold."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
