"""The table of the faults that tests inject: rows are the arguments of `pytest.mark.faults`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
HEAD = ("Fault", "Where", "What happens", "Tests")
# The command that brings the page up to date.
COMMAND = "python -m pytest -q -m faults --collect-only --write-faults=docs/faults.md"


class Fault(NamedTuple):
    """A row: the arguments of the mark."""

    fault: str
    where: str
    outcome: str


class Faults:
    """The faults of some tests, in their order."""

    def __init__(self, items: Iterable[pytest.Item]) -> None:
        marked = ((item.nodeid, item.get_closest_marker("faults")) for item in items)
        self.of = {test: Fault(*mark.args) for test, mark in marked if mark}

    def table(self) -> list[str]:
        """Return the lines of a Markdown table."""
        rows = [(*fault, str(count)) for fault, count in Counter(self.of.values()).items()]
        return [_line(HEAD), _line(["---", "---", "---", "---:"]), *map(_line, rows)]

    def tried(self, reports: Sequence[pytest.TestReport]) -> Iterator[str]:
        """Yield a line for each fault: what became of its tests."""
        yield _line((*HEAD, "Result"))
        for fault, count in Counter(self.of.values()).items():
            found = [r for r in reports if self.of.get(r.nodeid) == fault]
            yield _line((*fault, str(count), _result(found, count)))


def write_table(faults: Faults, page: Path) -> None:
    """Put the table in the place of the one of the page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("|")]
    first = next(index for index, line in enumerate(lines) if line.startswith("|"))
    text = "\n".join([*kept[:first], *faults.table(), *kept[first:]]) + "\n"
    page.write_text(text, encoding="utf-8")


def _result(reports: Sequence[pytest.TestReport], count: int) -> str:
    failed = [report for report in reports if report.failed]
    skipped = [report for report in reports if report.skipped]
    if failed:
        return f"{len(failed)} failed"
    if skipped:
        reason = skipped[0].longrepr
        why = reason[2].removeprefix("Skipped: ") if isinstance(reason, tuple) else "unknown"
        return f"{len(skipped)} skipped: {why}"
    passed = sum(report.when == "call" and report.passed for report in reports)
    return "survived" if passed == count else f"{passed} of {count} survived"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
