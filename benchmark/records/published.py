"""The published figures that stand beside ours."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

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


Key = tuple[str, str, str, str, str]  # values of the columns `_KEY`
_KEY = ["model", "schedule", "sampler", "steps", "weights"]  # `model` holds the family


def read_published(path: Path | None) -> dict[Key, Published]:
    """Read the published figures, by family, schedule, sampler, steps and weights; None: none.

    Raises:
        BenchmarkError: the file cannot be read, a column is missing, or a line has too many.
    """
    if path is None:
        return {}
    try:
        lines = pd.read_csv(path, dtype=str, keep_default_na=False, engine="python")
    except (OSError, ValueError) as error:
        why = str(error).strip()
        raise BenchmarkError(f"{path}: the published figures cannot be read: {why}") from None
    if not isinstance(lines.index, pd.RangeIndex):  # more fields than names: pandas shifts them
        raise BenchmarkError(
            f"{path}: a line has more fields than the first: see benchmark/reference/"
        )
    figures = [field.name for field in fields(Published)]
    for column in [*_KEY, *figures]:
        if column not in lines or lines[column].isna().any():
            raise BenchmarkError(f"{path}: column {column!r} is missing: see benchmark/reference/")
    keys = lines[_KEY].itertuples(index=False, name=None)
    rows = lines[figures].itertuples(index=False, name=None)
    return {key: Published(*row) for key, row in zip(keys, rows, strict=True)}


def find_published(cell: Cell | None, published: dict[Key, Published]) -> Published | None:
    """Return the row of the report that a cell repeats, if there is one."""
    key = key_of(cell) if cell and not (cell.task or cell.is_state) else None
    return published.get(key) if key else None


def key_of(cell: Cell) -> Key | None:
    """Return the key of the report's row that a cell repeats; None: not sampled, or guided."""
    if cell.weights == "elsewhere" or cell.guidance is not None:
        return None
    schedule, sampler, steps = cell.sampling
    return (cell.family, schedule, sampler, str(steps), cell.weights)
