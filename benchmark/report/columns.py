"""Columns of several tables: those that identify a row, and those of a record's values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmark.records.record import (
    SIZED,
    Cell,
    Record,
)
from benchmark.records.rows import (
    Row,
    metric_name,
)
from benchmark.report.formats import Column, TableEntry

IDENTITY = [
    Column("cell", None, number=False),
    Column("label", "model", number=False),
    Column("family", None, number=False),
    Column("model", None, number=False),
    Column("weights", None, number=False),
    Column("trained_as", None, number=False),
    Column("dataset", None, number=False),
    Column("resolution", None),
    Column("schedule", "schedule", number=False),
    Column("sampler", "sampler", number=False),
    Column("steps", "steps"),
    Column("seed", "seed"),
    Column("samples", "n"),
]

GUIDANCE = Column("guidance", "w")  # of tables with cells that state it
CLASSIFIER = Column("classifier", "classifier", number=False)  # likewise
TRAINED = Column("trained_steps", "trained for")  # likewise, in steps
RAW = Column("raw", "raw weights", number=False)  # likewise
TASK = [  # of tables with cells that have one
    Column("task", "task", number=False),
    Column("method", "method", number=False),
    Column("answers", "answers"),
]


def identity(rows: Iterable[Row]) -> list[Column]:
    """Return the columns that identify these rows."""
    cells = [row.cell for row in rows if row.cell]
    more = [GUIDANCE] if any(cell.guidance is not None for cell in cells) else []
    more += [CLASSIFIER] if any(cell.classifier for cell in cells) else []
    more += [TRAINED] if any(cell.trained_steps for cell in cells) else []
    more += [RAW] if any(cell.raw for cell in cells) else []
    more += TASK if any(cell.task for cell in cells) else []
    place = [column.key for column in IDENTITY].index("steps") + 1
    return [*IDENTITY[:place], *more, *IDENTITY[place:]]


def identity_entries(row: Row, label: str, record: Record | None) -> dict[str, TableEntry]:
    """Return the entries of the columns `IDENTITY`; a control has label, data set and n alone."""
    n_fake = record.protocol.n_fake if record and record.protocol else None
    if row.cell is None:
        return {"label": label, "dataset": row.dataset, "samples": n_fake}
    cell = row.cell.model_dump(exclude={"id", "table", "task", "raw"}) | task_entries(row.cell)
    raw = {"raw": "yes"} if row.cell.raw else {}
    return {"cell": row.cell.id, "label": label, **cell, **raw}


def task_entries(cell: Cell) -> dict[str, TableEntry]:
    """Return the entries of the columns `TASK`; a cell that was asked nothing has none."""
    if cell.task is None:
        return {}
    return {
        "task": cell.task.question,
        "method": _options(cell.task.method),
        "answers": cell.task.answers,
    }


def _options(method: dict[str, Any]) -> str:
    """Return the name of a method, and its options as they were."""
    told = [f"{key} {value}" for key, value in method.items() if key != "kind"]
    return f"{method['kind']} ({', '.join(told)})" if told else str(method["kind"])


def row_labels(rows: Iterable[Row]) -> Callable[[Row], str]:
    """Return a function that names rows by family, and by model if a family has several."""
    models = {(row.cell.family, row.cell.model) for row in rows if row.cell}
    families = [family for family, _ in models]

    def label(row: Row) -> str:
        if row.is_floor:
            return "held-out images"
        if row.control:
            return row.control.kind.replace("-", " ")
        assert row.cell
        family, model = row.cell.family, row.cell.model
        is_told = families.count(family) > 1 and model.casefold() != family.casefold()
        return f"{family} ({model})" if is_told else family

    return label


def named_values(record: Record | None) -> dict[str, TableEntry]:
    """Return the values of a record by the keys of their columns; None for a missing value."""
    if record is None:
        return {}
    keys = [*record.values, *(key for key in record.missing if not is_sized(key))]
    return {metric_name(record, key): record.values.get(key) for key in keys}


def value_columns(records: Sequence[Record | None]) -> list[Column]:
    """Return a column for each value of some records, in the order of the most complete record."""
    whole_first = sorted(records, key=lambda record: len(record.missing) if record else 0)
    names = dict.fromkeys(name for record in whole_first for name in named_values(record))
    return [Column(name, heading_of(name)) for name in names]


def heading_of(name: str) -> str:
    """Return the heading for a metric's name; up to three letters are an acronym, as KID."""
    known = {"data_copying": "C_T", "authenticity": "AuthPct", "closest_p": "p"}
    return known.get(name) or (name.upper() if len(name) <= 3 else name.replace("_", " "))


def title_of_value(record: Record | None, key: str) -> str:
    """Return the heading of a value of a record."""
    assert record
    if record.protocol and is_sized(key):
        return f"{record.protocol.label} (n = {key.removeprefix(SIZED)})"
    return metric_name(record, key)


def is_sized(key: str) -> bool:
    """Tell whether a value is the distance of fewer images than all."""
    return key.startswith(SIZED)
