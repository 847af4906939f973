"""docs/metrics.md must say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmark.metrics import METRICS, Metric

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def rows() -> dict[str, dict[str, str]]:
    """Return the page's first table: by the name in a config, the cells of each row by column."""
    lines = [
        line.strip("|") for line in PAGE.read_text().split("\n## ")[0].splitlines() if "|" in line
    ]
    header, _, *found = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {row[0].strip("`"): dict(zip(header, row, strict=True)) for row in found}


def options_of(part: type[Metric]) -> str:
    defaults = {name: field.default for name, field in part.model_fields.items() if name != "kind"}
    return ", ".join(
        f"`{yaml.safe_dump({name: value}).strip()}`" for name, value in defaults.items()
    )


def test_does_the_page_list_every_metric() -> None:
    assert sorted(rows()) == METRICS.names()


@pytest.mark.parametrize("name", METRICS.names())
def test_does_the_page_say_of_a_metric_what_the_code_does(name: str) -> None:
    row, part = rows()[name], METRICS.get(name)
    assert row["`score --metrics`"] == f"`{part.short or name}`"
    assert row["better is"] == ("higher" if part.higher_is_better else "lower")
    assert row["options and their defaults"] == options_of(part)
