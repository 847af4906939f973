"""What the source of a module says, and how that is kept for later processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.core import parsed
from benchmark.core.parsed import Kept, parse

SOURCE = b"import json\nfrom . import near\nTEMPLATE = 'page.html'\n"


@pytest.fixture(autouse=True)
def _written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What a process has kept of one module."""
    store = tmp_path / "__pycache__" / "parsed.json"
    kept = Kept(store)
    kept.parsed(SOURCE, "lab.net", is_package=False)
    kept.keep()
    return store


def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that are parsed from now on."""
    seen: list[str] = []

    def noted(source: bytes, module: str, is_package: bool) -> parsed.Parsed:
        seen.append(module)
        return parse(source, module, is_package)

    monkeypatch.setattr(parsed, "parse", noted)
    return seen


def test_a_later_process_finds_what_was_parsed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = count(monkeypatch)
    found = Kept(store).parsed(SOURCE, "lab.net", is_package=False)
    assert seen == []
    assert found == parse(SOURCE, "lab.net", is_package=False)
    assert found.imports == ["json", "lab", "lab.near"]
    assert found.texts == ["page.html"]
    assert store.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("source", "module", "is_package"),
    [
        (SOURCE + b"x = 1", "lab.net", False),
        (SOURCE, "lab.far", False),
        (SOURCE, "lab.net", True),
    ],
)
def test_another_source_is_parsed(
    store: Path, source: bytes, module: str, is_package: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = count(monkeypatch)
    found = Kept(store).parsed(source, module, is_package)
    assert seen == [module]
    assert found == parse(source, module, is_package)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"by": "another version", "modules": {"lab.net": 1}}',
        *(
            f'{{"by": "{parsed._itself()}", "modules": {modules}}}'
            for modules in ("1", '{"lab.net": 1}', '{"lab.net": ["0", {"code": "1"}]}')
        ),
    ],
)
def test_what_cannot_be_read_is_parsed_again_and_kept(store: Path, content: str) -> None:
    whole = store.read_text()
    store.write_text(content)
    kept = Kept(store)
    assert kept.parsed(SOURCE, "lab.net", is_package=False) == parse(SOURCE, "lab.net", False)
    kept.keep()
    assert store.read_text() == whole
    assert list(store.parent.iterdir()) == [store]


def test_nothing_is_written_where_python_writes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "parsed.json", tmp_path / "kept" / "parsed.json"):
        kept = Kept(place)
        kept.parsed(SOURCE, "lab.net", is_package=False)
        kept.keep()
        monkeypatch.setattr("sys.dont_write_bytecode", True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_kept_names_no_place(store: Path, tmp_path: Path) -> None:
    assert str(tmp_path) not in json.dumps(json.loads(store.read_text()))
