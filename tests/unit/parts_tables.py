"""Writes the tables of docs/samplers.md that are made of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmark.core.strict import Strict
from benchmark.diffusion.schedules import SCHEDULES

PAGE = Path(__file__).parents[2] / "docs" / "samplers.md"
COMMAND = "write it again: uv run python tests/unit/parts_tables.py"


def schedules() -> str:
    """Return the table of schedules, in Markdown."""
    rows = [("`kind`", "process", "paper", "pixels", "spacings", "options"), ("---",) * 6]
    for name in SCHEDULES.names():
        schedule = SCHEDULES.make(name)
        process = schedule.process()
        pixels = "[{:g}, {:g}]".format(*process.data_range)
        spacings = ", ".join(process.spacings)
        shown = options(type(schedule))
        rows.append((f"`{name}`", process.family, schedule.paper, pixels, spacings, shown))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- ", "|---")


def options(part: type[Strict]) -> str:
    """Return the options of a part with their defaults."""
    defaults = {name: field.default for name, field in part.model_fields.items()}
    own = {name: value for name, value in defaults.items() if name not in ("kind", "spacing")}
    return ", ".join(f"`{yaml.safe_dump({name: value}).strip()}`" for name, value in own.items())


def table_below(heading: str, page: str) -> re.Match[str]:
    """Return where the first table below a heading of a page stands."""
    found = re.compile(rf"(?<=\n## {heading}\n)(?:(?!\|).*\n)*((?:\|.*\n)+)").search(page)
    assert found, heading
    return found


def tables() -> Iterator[tuple[str, str]]:
    """Yield the tables by the headings above them."""
    yield "Schedules", schedules()


if __name__ == "__main__":
    page = PAGE.read_text()
    for heading, table in tables():
        found = table_below(heading, page)
        page = page[: found.start(1)] + table + page[found.end(1) :]
    PAGE.write_text(page)
