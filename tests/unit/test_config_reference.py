"""The page of all keys of a config is made of the schema, and says of each what it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from benchmark.config.config import Config
from benchmark.core.strict_model import Name, StrictModel
from benchmark.tools.config_reference import reference

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
    title: Name = Field(description="Above the picture")
    blocks: list[_Block] = []
    is_filled: bool = True


def _page() -> str:
    return reference(_Drawing.model_json_schema())


def test_each_key_stands_in_a_table_with_its_values_default_and_meaning() -> None:
    page = _page()
    assert "| `title` | name |  | Above the picture |" in page
    assert "| `is_filled` | true or false | `true` |  |" in page
    assert "| `radius` | number > 0 and ≤ 10 | `0.5` | In pixels \\| of the image |" in page
    assert "| `order` | list of: integer or null | `null` |  |" in page


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
    return [line for line in lines if line.startswith("| `") and line.endswith("|  |")]


def test_each_key_of_a_config_has_a_meaning() -> None:
    assert not _undescribed()
