"""The page on the code says what the contract on imports says, and names files that exist."""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_lists_the_layers_of_the_contract() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.M)
    assert listed == layers["layers"][::-1]


def test_the_page_names_files_that_exist() -> None:
    paths = re.findall(r"`((?:benchmark|workflow)/[\w/.]+)`", PAGE)
    assert len(paths) > 20
    assert [path for path in paths if not (PROJECT / path).exists()] == []
