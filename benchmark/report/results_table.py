"""The table of a grid's cells: distances, times and published figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import across_seeds, inverse, quotient
from benchmark.records.published import Key, Published, find_published
from benchmark.records.record import Record, distance_at
from benchmark.records.rows import (
    Row,
    floor_of,
    in_table,
    seconds_of_training,
    seconds_per_step,
    seeds_of,
)
from benchmark.report.captions import missing_lines, results_caption, results_legend
from benchmark.report.columns import (
    identity,
    identity_entries,
    named_values,
    row_labels,
    value_columns,
)
from benchmark.report.formats import BUSY, FEW, Column, Marked, Table, TableEntry
from benchmark.report.letters import Compared, compare_rows

EVALUATIONS = Column("network_evaluations", "evaluations/image")

COSTS = [
    Column("train_minutes", "training min", spans_powers=True),
    Column("seconds_per_step", "training s/step", printed=False, spans_powers=True),
    Column("train_busy", None, number=False),
    Column("sample_seconds", "sampling s", printed=False, spans_powers=True),
    Column("seconds_per_image", "s/image", spans_powers=True),
    Column("images_per_second", "images/s", printed=False, spans_powers=True),
    Column("sample_busy", None, number=False),
    EVALUATIONS,
    Column("batch", "batch", printed=False),
    Column("threads", "threads", printed=False),
    Column("device", "device", number=False, printed=False),
]

REPORT = [
    Column("report_dataset", None, number=False),
    Column("report_resolution", "px", group="report", printed=False),
    Column("report_n_fake", "n", group="report", printed=False),
    Column("report_fid", "FID", group="report"),
    Column("report_train_minutes", "training min", group="report", printed=False),
    Column("report_sample_minutes", "sampling min", group="report"),
    Column("report_note", None, number=False),
]

FLOOR = Column("floor", "floor")

TIMES_FLOOR = Column("times_floor", "FDr", spans_powers=True)

OVER_SEEDS = Column("over_seeds", "mean over seeds")

LETTERS = Column("letters", "letters", number=False)

DISTANCES = [FLOOR, TIMES_FLOOR, OVER_SEEDS, LETTERS]


def results_table(name: str, rows: Sequence[Row], published: dict[Key, Published]) -> Table:
    """Return distances, times and published figures of the cells of one table."""
    mine = in_table(rows, name)
    values = value_columns([row.metrics for row in mine])
    labels = {row.protocol.label for row in mine if row.protocol}
    values.sort(key=lambda column: column.key not in labels)  # the distance comes first
    compared = compare_rows(mine)
    distances = [_distances(row, mine, compared) for row in mine]
    beside = [c for c in _distance_columns(mine) if any(c.key in entries for entries in distances)]
    matched = [find_published(row.cell, published) for row in mine]
    columns = [
        *identity(mine),
        *values[: len(labels)],
        *beside,
        *values[len(labels) :],
        *COSTS,
        *(REPORT if any(matched) else []),
    ]
    label = row_labels(mine)
    content = [
        {
            **identity_entries(row, label(row), row.metrics),
            **named_values(row.metrics),
            **beside_it,
            **costs(row),
            **({f"report_{k}": v for k, v in vars(figures).items()} if figures else {}),
        }
        for row, beside_it, figures in zip(mine, distances, matched, strict=True)
    ]
    legend = results_legend(mine, compared, any(matched)) + missing_lines(
        (row.cell.id if row.cell else label(row), row.metrics) for row in mine
    )
    told = {key for entries in content for key, entry in entries.items() if entry is not None}
    columns = [
        replace(c, printed=False) if c in COSTS and c.key not in told else c for c in columns
    ]
    return Table(name, results_caption(mine), columns, content, legend)


def _distance_columns(rows: Sequence[Row]) -> list[Column]:
    """Return the columns beside the Fréchet distance: at fewer images, floor, seeds and letters."""
    label = next((row.protocol.label for row in rows if row.protocol), "")
    sizes = sorted({n for row in rows if row.cell for n in row.distances if n != row.cell.samples})
    sized = [Column(distance_at(n), f"{label} (n = {n})") for n in sizes]
    return [*sized, *DISTANCES]


def _distances(
    row: Row, rows: Sequence[Row], compared: Sequence[Compared]
) -> dict[str, TableEntry]:
    """Return the entries of all columns that follow from Fréchet distances."""
    if row.metrics is None or row.protocol is None:
        return {}
    full = row.protocol.n_fake
    entries = {distance_at(n): marked(row, v, n) for n, v in row.distances.items()}
    entries[row.protocol.label] = entries.get(distance_at(full))
    if floor := floor_of(row, rows):
        entries["floor"] = marked(row, floor, full)
        if (own := row.distance) and floor.value > 0:
            entries["times_floor"] = over_floor(own, floor)
    if len(seeds := seeds_of(row, rows)) > 1:
        entries["over_seeds"] = marked(row, across_seeds(seeds), full)
    for group in compared:
        if row.metrics.id in group.letters:
            entries["letters"] = group.letters[row.metrics.id]
    return entries


def marked(row: Row, value: Value, n: int) -> TableEntry:
    """Return a distance of n images, with a mark where they are few."""
    return Marked(value, FEW) if n < (row.few or 0) else value


def over_floor(distance: Value, floor: Value) -> Value:
    """Return a distance over the floor, with its interval where both have one above 0."""
    ends = (distance.low, floor.low)
    if all(low is not None and low > 0 for low in ends):
        return quotient(distance, floor)
    return Value(value=distance.value / floor.value)


def costs(row: Row) -> dict[str, TableEntry]:
    """Return the entries of the columns `COSTS`, where they are known."""
    found: dict[str, TableEntry] = {}
    if row.training and (seconds := seconds_of_training(row)):
        minutes = Value(value=seconds / 60)
        found |= {
            "train_minutes": _timed(minutes, row.training),
            "seconds_per_step": _timed(seconds_per_step(row.training), row.training),
            "train_busy": _busy(row.training),
        }
    if row.sample and row.sample.timing and row.seconds:
        timing, machine = row.sample.timing, row.sample.provenance
        evaluations = timing.network_evaluations  # a mean, if the solver is adaptive
        found |= {
            "sample_seconds": _timed(Value(value=timing.seconds), row.sample),
            "seconds_per_image": _timed(row.seconds, row.sample),
            "images_per_second": _timed(inverse(row.seconds), row.sample),
            "sample_busy": _busy(row.sample),
            "network_evaluations": int(evaluations) if evaluations.is_integer() else evaluations,
            "batch": timing.batches,
            "threads": machine.threads * machine.processes,
            "device": machine.gpu or "CPU",
        }
    return found


def _timed(value: Value | None, record: Record) -> TableEntry:
    """Return a time of a record, with a mark where the machine was busy."""
    return Marked(value, BUSY) if value and record.busy else value


def _busy(record: Record) -> str:
    """Return for the CSV what the mark says to readers."""
    return record.busy or ("" if record.busy_is_told else "unknown")
