"""YAML of plain data, in which no key stands twice."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """Return what YAML text says, by the safe loader.

    Raises:
        yaml.YAMLError: it is no YAML, or a key stands twice in one mapping: of these YAML's own
            loaders take the last, without a word.
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
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
