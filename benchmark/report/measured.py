"""The figures of a run for a comparison, by cell and metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmark.core.values import Value
from benchmark.metrics import METRICS
from benchmark.records.record import Record
from benchmark.records.rows import (
    FRECHET,
    TIME,
    TRAINING,
    Row,
    collect,
    is_frechet,
    metric_name,
    metric_options,
    seconds_per_step,
    timed_alike,
    trained_alike,
)

# Figures of memorisation of which less is better; of the others neither more nor less is better.
COPYING = ("accused_share", "closer_share")


@dataclass(frozen=True)
class Measured:
    """A figure of one cell.

    Attributes:
        value: measured value.
        name: name of the metric for readers.
        higher_is_better: whether more is better; None: this version does not know the metric.
        conditions: what must be equal in two runs whose figures are compared.
        busy: why a time is not valid; empty if nothing speaks against it.
        told: whether it is known what else used the machine.
    """

    value: Value
    name: str
    higher_is_better: bool | None
    conditions: Mapping[str, object]
    busy: str = ""
    told: bool = True


Cells = dict[str, dict[str, Measured]]  # figures, by the id of the cell and the key of the metric


def figures_by_cell(records: Iterable[Record]) -> Cells:
    """Return the figures of every cell of a run."""
    return {row.cell.id: _measured(row) for row in collect(records) if row.cell}


def _measured(row: Row) -> dict[str, Measured]:
    return {**_metrics(row.metrics), **_copying(row.retrieval), **_time(row), **_training(row)}


def _metrics(record: Record | None) -> dict[str, Measured]:
    """Return the figures of a metrics record; a Fréchet distance has one key in all configs."""
    if record is None or record.protocol is None:
        return {}
    found = {}
    for column, value in record.values.items():
        options, distance = metric_options(record, column), is_frechet(record, column)
        kind = "frechet" if distance else options["kind"]
        found[FRECHET if distance else column] = Measured(
            value,
            metric_name(record, column),
            METRICS.get(kind).higher_is_better if kind in METRICS.names() else None,
            {**record.protocol.model_dump(), **options, "kind": kind},
        )
    return found


def _copying(record: Record | None) -> dict[str, Measured]:
    if record is None or record.protocol is None:
        return {}
    rate = record.retrieved.false_discovery_rate if record.retrieved else None
    conditions = {**record.protocol.model_dump(), "false_discovery_rate": rate}
    return {
        name: Measured(record.values[name], name, False, conditions)
        for name in COPYING
        if name in record.values
    }


def _time(row: Row) -> dict[str, Measured]:
    """Return the seconds per image; cells of equal id have equal steps and samplers."""
    if row.cell is None or row.sample is None or row.sample.timing is None or not row.seconds:
        return {}
    conditions = {
        **timed_alike(row),
        "samples": sum(row.sample.timing.batch_images),
        "resolution": row.cell.resolution,
    }
    told = row.sample.busy_is_told
    return {TIME: Measured(row.seconds, "seconds per image", False, conditions, row.busy, told)}


def _training(row: Row) -> dict[str, Measured]:
    """Return the seconds per step of training, of cells that this run has trained."""
    value = seconds_per_step(row.training) if row.training else None
    if row.cell is None or row.training is None or value is None:
        return {}
    conditions = {**trained_alike(row.training), "resolution": row.cell.resolution}
    name, record = "seconds per training step", row.training
    busy, told = record.busy, record.busy_is_told
    return {TRAINING: Measured(value, name, False, conditions, busy, told)}


Reasons = dict[tuple[str, str], str]  # why a cell has no figure, by its id and the metric's key


def missing_reasons(records: Iterable[Record]) -> Reasons:
    """Return why figures that are compared could not be computed."""
    return {
        (record.cell.id, FRECHET if is_frechet(record, name) else name): why
        for record in records
        if record.cell
        for name, why in record.missing.items()
    }
