"""Where the project is, and copies of it, in which a workflow can run and modules can be edited."""

from __future__ import annotations

import shutil
from pathlib import Path

PROJECT = Path(__file__).parents[1]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"  # the config of the smallest run
FAMILIES = SMOKE.with_name("families.yaml")
PARTS = ("Snakefile", "workflow", "benchmark", "config", "environment.yml", "uv.lock")
# What other processes may be writing just now, and rename once it is whole.
UNFINISHED = shutil.ignore_patterns("*.pyc.*")


def copy(part: str, folder: Path) -> None:
    """Copy a file or a folder of the project, with its compiled modules, into a folder."""
    source = PROJECT / part
    if source.is_dir():
        shutil.copytree(source, folder / part, ignore=UNFINISHED)
    else:
        shutil.copy(source, folder / part)


def lay_out(folder: Path) -> Path:
    """Copy what a workflow needs into an existing folder; return it."""
    for part in PARTS:
        copy(part, folder)
    return folder
