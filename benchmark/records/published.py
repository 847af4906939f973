"""The published figures that stand beside ours."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path

from benchmark.core.errors import BenchmarkError
from benchmark.records.record import Cell


@dataclass(frozen=True)
class Published:
    """The figures of one row of the report, as it prints them."""

    dataset: str
    resolution: str
    n_fake: str
    fid: str
    train_minutes: str
    sample_minutes: str
    note: str


Key = tuple[str, str, str, str, str]  # family, schedule, sampler, steps, weights


def read_published(path: Path | None) -> dict[Key, Published]:
    """Read the published figures, by family, schedule, sampler, steps and weights.

    Raises:
        BenchmarkError: the file cannot be read, or a column is missing.
    """
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: the published figures cannot be read: {error}") from None
    figures = [field.name for field in fields(Published)]
    for column in ("model", "schedule", "sampler", "steps", "weights", *figures):
        if any(line.get(column) is None for line in lines):
            raise BenchmarkError(f"{path}: column {column!r} is missing: see config/reference/")
    return {
        (
            line["model"],
            line["schedule"],
            line["sampler"],
            line["steps"],
            line["weights"],
        ): Published(**{figure: line[figure] for figure in figures})
        for line in lines
    }


def find_published(cell: Cell | None, published: dict[Key, Published]) -> Published | None:
    """Return the row of the report that a cell repeats."""
    key = key_of(cell) if cell else None
    return published.get(key) if key else None


def key_of(cell: Cell) -> Key | None:
    """Return what tells the row of the report that a cell repeats, if it is sampled."""
    if cell.weights == "elsewhere":
        return None
    schedule, sampler, steps = cell.sampling
    return (cell.family, schedule, sampler, str(steps), cell.weights)
