"""Read YAML of plain data: duplicate keys are refused, and words such as `no` stay texts.

Truth values, numbers and null are written as in YAML 1.2 (its core schema), not as in 1.1: `no`,
`on` and `2024-01-01` are texts, and `1e-3` is a number. A number that the two versions read
differently, as `010` or `1:30`, is a text, so that a key that needs a number refuses it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

FLOAT = r"^[-+]?(?:\.\d+|\d+\.\d*|\d+(?:\.\d*)?[eE][-+]?\d+|\.\d+[eE][-+]?\d+)$"


def read_yaml(text: str) -> Any:
    """Return what YAML or JSON text says, by the safe loader.

    Raises:
        yaml.YAMLError: the text is neither, or a key stands twice in one mapping, where the usual
            loaders silently take the last.
        ValueError: a tag does not fit its value, or an integer is too long.
        RecursionError: the text is nested too deeply.
    """
    if text.lstrip().startswith("{"):
        try:  # JSON may be indented by tabs, and YAML may not
            return json.loads(text, object_pairs_hook=_unique)
        except json.JSONDecodeError:
            pass
    return yaml.load(text, _Loader)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise yaml.constructor.ConstructorError(
                problem=f"{name!r} stands twice in one mapping: remove one of them"
            )
    return dict(pairs)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} stands here and on line {seen[name].line + 1}: "
                    "remove one of them",
                    problem_mark=key.start_mark,
                )
            seen[name] = key.start_mark
        return super().construct_mapping(node, deep)


for _tag, _expression, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9]\d*)$", "-+0123456789"),
    ("float", FLOAT, "-+.0123456789"),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+."),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(_expression), list(_first)
    )
