"""Fixtures of several unit tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.config.config import Config
from benchmark.config.loading import parse
from benchmark.core import closure
from benchmark.core.closure import HOME, PACKAGE

FAMILIES = Path(__file__).parents[1] / "workflow" / "families.yaml"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, of which the code is compared."""
    shutil.copytree(HOME / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("zoo"))
    monkeypatch.setattr(closure, "HOME", tmp_path)
    monkeypatch.setattr(closure, "TEMPLATES", tmp_path / PACKAGE / "report" / "templates")
    return tmp_path / PACKAGE


@pytest.fixture
def families() -> Config:
    """A network of NCSN, one of an SDE, and a cell of images that were made elsewhere."""
    content: dict[str, Any] = yaml.safe_load(FAMILIES.read_text())
    del content["models"]["ready"]  # whose weights another run makes
    content["grid"] = [entry for entry in content["grid"] if entry["model"] != "ready"]
    return parse(content)
