"""The page of faults says what the tests do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from faults_table import COMMAND, PAGE

PROJECT = Path(__file__).parents[2]
MARK = "pytest.mark.faults("


def test_the_table_of_faults_is_that_of_the_tests(tmp_path: Path) -> None:
    files = [
        str(path)
        for path in sorted((PROJECT / "tests").rglob("test_*.py"))
        if MARK in path.read_text(encoding="utf-8") and path != Path(__file__)
    ]
    assert files
    options = ["-q", "-m", "faults", "--collect-only", "--write-faults", str(tmp_path / "page.md")]
    (tmp_path / "page.md").write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    now = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert now == PAGE.read_text(encoding="utf-8"), f"write it again: {COMMAND}"
