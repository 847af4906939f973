"""Copies the project, so that a workflow can run in the copy and its modules can be edited."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "benchmark", "config", "environment.yml", "uv.lock")


def lay_out(folder: Path) -> Path:
    """Copy what a workflow needs into an existing folder; return it."""
    for part in PARTS:
        source = PROJECT / part
        copy: Callable[[Path, Path], object] = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    return folder
