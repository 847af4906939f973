"""The page of all keys of a config is made of the schema, and says of each what it may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.strict_model import Name, StrictModel
from benchmark.tools.config_reference import EXAMPLE, reference

PROJECT = Path(__file__).parents[2]


class _Disc(StrictModel):
    """A round shape."""

    kind: Literal["disc"] = "disc"
    radius: float = Field(default=0.5, gt=0, le=10, description="In pixels | of the image")


class _Point(StrictModel):
    kind: Literal["point"] = "point"


class _Block(StrictModel):
    """What is drawn."""

    shapes: dict[Name, Annotated[_Disc | _Point, Field(discriminator="kind")]] = {}
    order: list[int] | None = None


class _Drawing(StrictModel):
    title: Name = Field(description="Above the picture", examples=["discs"])
    blocks: list[_Block] = []
    is_filled: bool = True


def _page() -> str:
    return reference(_Drawing.model_json_schema())


def test_each_key_stands_in_a_table_with_its_values_default_and_meaning() -> None:
    page = _page()
    assert "| `title` | name |  | Above the picture | `discs` |" in page
    assert "| `is_filled` | true or false | `true` |  | `false` |" in page
    assert "| `radius` | number > 0 and ≤ 10 | `0.5` | In pixels \\| of the image | `0.5` |" in page
    assert "| `order` | list of: integer or null | `null` |  |  |" in page


def test_parts_have_a_table_each_below_the_key_that_chooses_them() -> None:
    lines = _page().splitlines()
    start = lines.index("## `blocks[…].shapes.NAME`")
    below = [line for line in lines[start:] if line]
    assert below[1] == "`kind` says which of these it is: `disc`, `point`."
    assert below[2:4] == ["### `kind: disc`", "A round shape."]
    assert below[-2:] == ["### `kind: point`", "It has no options."]


def test_the_committed_page_is_that_of_the_config() -> None:
    assert reference(Config.model_json_schema()) == (PROJECT / "docs/config.md").read_text(), (
        "write it again: python -m benchmark schema --markdown > docs/config.md"
    )


def _undescribed() -> list[str]:
    lines = reference(Config.model_json_schema()).splitlines()
    return [line for line in lines if line.startswith("| `") and not line.split(" | ")[3].strip()]


def test_each_key_of_a_config_has_a_meaning() -> None:
    assert not _undescribed()


def _examples(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name, the type and each example of the fields of a model and of all in it."""
    if model in seen:
        return
    seen.add(model)
    for name, found in model.model_fields.items():
        annotated = Annotated[found.annotation, found, *found.metadata]  # type: ignore[name-defined]
        for example in found.examples or ():
            yield f"{model.__name__}.{name}", annotated, example
        for inner in _models(found.annotation):
            yield from _examples(inner, seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def test_each_example_is_accepted_at_its_key() -> None:
    found = list(_examples(Config, set()))
    assert len(found) > 60
    for name, annotation, example in found:
        try:
            TypeAdapter(annotation).validate_python(example)
        except ValidationError as error:
            pytest.fail(f"{name}: {example}: {error}")


def test_each_key_has_an_example_and_each_section_stands_in_that_of_the_file() -> None:
    page = reference(Config.model_json_schema())
    content = yaml.safe_load(EXAMPLE)
    for line in page.splitlines():
        if line.startswith("| `") and line.endswith("|  |"):
            assert line.split("`")[1] in content, line
    parse_config(content)
    assert f"```yaml\n{EXAMPLE}```" in page
