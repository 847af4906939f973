"""Parts are found in their folder by their name, and made of their options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from benchmark.core.errors import BenchmarkError
from benchmark.core.parts import Parts
from benchmark.core.strict_model import StrictModel


class Shape(StrictModel):
    """What the parts of these tests have in common."""


class _Named(Shape):
    kind: Literal["named"] = "named"


SHAPES = """
from typing import Literal
from tests.unit.test_parts import Shape, _Named

class Round(Shape):
    "Others are made of it: it has no name."
    radius: float = 1

class {title}(Round):
    kind: Literal["{name}"] = "{name}"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a package with two shapes."""
    name = f"shapes_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for kind in ("disc", "ball"):
        (folder / f"{kind}.py").write_text(SHAPES.format(title=kind.title(), name=kind))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "tests.unit.test_parts", sys.modules[__name__])
    return name


def _parts(package: str) -> Parts[Any]:
    return Parts("shape", Shape, package)


def test_parts_are_found_without_an_import_line(package: str) -> None:
    assert _parts(package).names() == ["ball", "disc"]


def test_a_new_file_is_a_new_part(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "cube.py").write_text(SHAPES.format(title="Cube", name="cube"))
    assert _parts(package).names() == ["ball", "cube", "disc"]


def test_a_part_is_made_of_options_and_defaults(package: str) -> None:
    shapes = _parts(package)
    assert shapes.make("disc").radius == 1
    assert shapes.make("disc", radius=2).model_dump() == {"radius": 2, "kind": "disc"}
    with pytest.raises(ValidationError):
        shapes.make("disc", width=2)


def test_an_unknown_name_is_told_the_nearest(package: str) -> None:
    with pytest.raises(BenchmarkError, match=r"no shape 'dics': did you mean 'disc'\? known: ball"):
        _parts(package).get("dics")


def test_the_union_tells_parts_apart_by_name(package: str) -> None:
    adapter = TypeAdapter(_parts(package).union())
    assert type(adapter.validate_python({"kind": "ball"})).__name__ == "Ball"


def test_two_parts_of_one_name_are_refused(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "other.py").write_text(SHAPES.format(title="Other", name="disc"))
    with pytest.raises(BenchmarkError, match=r"other\.py: .*disc\.py has a shape 'disc' too"):
        _ = _parts(package).classes
