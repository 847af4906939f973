"""Tables: our figures beside the published ones, as CSV, Markdown and LaTeX.

Tables are pure functions of the records: the same records give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark.atomic import write_text
from benchmark.formats import FORMATS, Column, Entry, Table
from benchmark.paths import TABLE_FORMATS, Run
from benchmark.records import Cell, Kind, Protocol, Provenance, Record, Value, read_records
from benchmark.rows import (
    Key,
    Published,
    Row,
    collect,
    find_published,
    in_table,
    metric_name,
    read_published,
    table_names,
)

STAGES: dict[Kind, str] = {
    "data": "prepare",
    "train": "train",
    "sample": "sample",
    "features": "features",
    "metrics": "evaluate",
    "retrieval": "retrieve",
}


def write_tables(run: Run, reference: Path | None) -> list[Path]:
    """Write every table of a run in every format.

    Args:
        run: the run; only its records are read.
        reference: CSV of published figures to set beside ours.

    Returns:
        The files written: one table for each `table` of the grid, `neighbours` and `stages`.

    Raises:
        BenchmarkError: there are no records, or the published figures cannot be read.
    """
    records = read_records(run.root)
    published = read_published(reference)
    rows = collect(records)
    tables = [results_table(name, rows, published) for name in table_names(rows)]
    if any(row.retrieval for row in rows):
        tables.append(neighbours_table(rows))
    tables.append(stages_table(records))
    return [path for table in tables for path in _write(run, table)]


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
COSTS = [
    Column("train_minutes", "training min"),
    Column("sample_seconds", "sampling s"),
    Column("seconds_per_image", "s/image"),
    Column("images_per_second", "images/s"),
    Column("network_evaluations", "evaluations/image"),
    Column("batch", "batch"),
    Column("threads", "threads"),
    Column("device", "device", number=False),
]
REPORT = [
    Column("report_dataset", None, number=False),
    Column("report_resolution", "px", group="report"),
    Column("report_n_fake", "n", group="report"),
    Column("report_fid", "FID", group="report"),
    Column("report_train_minutes", "training min", group="report"),
    Column("report_sample_minutes", "sampling min", group="report"),
    Column("report_note", None, number=False),
]
# A metric may take none of these names.
COLUMNS = frozenset(column.key for column in [*IDENTITY, *COSTS, *REPORT])
STAGE = [
    Column("stage", "stage", number=False),
    Column("jobs", "jobs"),
    Column("seconds", "seconds in total"),
    Column("seconds_per_job", "seconds/job"),
    Column("threads", "threads/job"),
    Column("peak_memory_mb", "peak memory MB"),
]


def results_table(name: str, rows: Sequence[Row], published: dict[Key, Published]) -> Table:
    """Return distances, times and published figures of the cells of one table."""
    mine = in_table(rows, name)
    columns = [*IDENTITY, *_value_columns([r.metrics for r in mine]), *COSTS, *REPORT]
    matched = [find_published(row.cell, published) for row in mine]
    label = _labels(mine)
    content = [
        {
            **_identity(row, label(row), row.metrics),
            **_named(row.metrics),
            **_costs(row),
            **({f"report_{k}": v for k, v in vars(figures).items()} if figures else {}),
        }
        for row, figures in zip(mine, matched, strict=True)
    ]
    return Table(name, _caption(mine, any(matched)), columns, content)


def neighbours_table(rows: Sequence[Row]) -> Table:
    """Return how far samples, and held-out images, lie from the training images."""
    mine = [row for row in rows if row.retrieval]
    label = _labels(mine)
    caption = [
        "Euclidean distances in feature space from each image to its nearest training images.",
        "Held-out images are real and were never trained on: samples that lie much nearer to "
        "the training images than these do are suspected copies.",
    ]
    return Table(
        "neighbours",
        caption,
        [*IDENTITY, *_value_columns([r.retrieval for r in mine])],
        [{**_identity(row, label(row), row.retrieval), **_named(row.retrieval)} for row in mine],
    )


def stages_table(records: Sequence[Record]) -> Table:
    """Return what each stage of the run took."""
    caption = [
        "Wall time of the jobs of each stage, start-up included; jobs of one stage may run "
        "beside each other.",
        _machines(record.provenance for record in records),
    ]
    kinds = {kind: [r for r in records if r.kind == kind] for kind in STAGES}
    return Table(
        "stages", caption, STAGE, [_stage(kind, jobs) for kind, jobs in kinds.items() if jobs]
    )


def _values(record: Record | None) -> dict[str, Value]:
    return record.values if record else {}


def _named(record: Record | None) -> dict[str, Entry]:
    return (
        {metric_name(record, key): value for key, value in record.values.items()} if record else {}
    )


def _value_columns(records: Sequence[Record | None]) -> list[Column]:
    names = dict.fromkeys(name for record in records for name in _named(record))
    return [Column(name, _heading(name)) for name in names]


def _heading(name: str) -> str:
    """Write out a metric's name; three letters are an acronym, as KID."""
    return name.upper() if len(name) <= 3 else name.replace("_", " ")


def _labels(rows: Iterable[Row]) -> Callable[[Row], str]:
    """Name rows by family, and by model too where a family has several in this table."""
    models = {(row.cell.family, row.cell.model) for row in rows if row.cell}
    families = [family for family, _ in models]

    def label(row: Row) -> str:
        if row.cell is None:
            return "held-out images"
        several = families.count(row.cell.family) > 1
        return f"{row.cell.family} ({row.cell.model})" if several else row.cell.family

    return label


def _identity(row: Row, label: str, record: Record | None) -> dict[str, Entry]:
    n_fake = record.protocol.n_fake if record and record.protocol else None
    if row.cell is None:
        return {"label": label, "dataset": row.dataset, "samples": n_fake}
    cell = row.cell.model_dump(exclude={"id", "table"})
    return {"cell": row.cell.id, "label": label, **cell}


def _costs(row: Row) -> dict[str, Entry]:
    costs: dict[str, Entry] = {}
    if row.training and "train_seconds" in row.training.values:
        costs["train_minutes"] = row.training.values["train_seconds"].value / 60
    if row.sample and row.sample.timing:
        timing, machine = row.sample.timing, row.sample.provenance
        evaluations = timing.network_evaluations  # of an adaptive solver a mean
        costs |= {
            "sample_seconds": timing.seconds,
            "seconds_per_image": 1 / timing.images_per_second,
            "images_per_second": timing.images_per_second,
            "network_evaluations": int(evaluations) if evaluations.is_integer() else evaluations,
            "batch": timing.batch,
            "threads": machine.threads,
            "device": machine.gpu or "CPU",
        }
    return costs


def _stage(kind: Kind, jobs: Sequence[Record]) -> dict[str, Entry]:
    seconds = math.fsum(job.provenance.wall_seconds for job in jobs)
    memory = [job.timing.peak_memory_bytes for job in jobs if job.timing]
    return {
        "stage": STAGES[kind],
        "jobs": len(jobs),
        "seconds": seconds,
        "seconds_per_job": seconds / len(jobs),
        "threads": max(job.provenance.threads for job in jobs),
        "peak_memory_mb": round(max(memory) / 1e6) if memory else None,
    }


def _caption(rows: Sequence[Row], has_published: bool) -> list[str]:
    cells = [row.cell for row in rows if row.cell]
    sets = dict.fromkeys(f"{c.dataset} at {c.resolution}×{c.resolution}" for c in cells)
    jobs = [job for row in rows for job in (row.training, row.sample) if job]
    lines = [f"Data: {'; '.join(sets)}."]
    lines += dict.fromkeys(_protocol_line(row.protocol) for row in rows if row.protocol)
    values = [value for row in rows for value in _values(row.metrics).values()]
    if any(value.std_error is not None for value in values):
        lines.append("± is one standard error.")
    if any(value.low is not None for value in values):
        lines.append("[a, b] is a 95 % interval.")
    if any(row.cell is None for row in rows):
        lines.append("Held-out images are real: no model can be expected below them at equal n.")
    if jobs:
        lines.append(
            "Sampling is timed without loading and saving. "
            + _machines(job.provenance for job in jobs)
        )
    lines += _sharing(cells) + _checkpoints(rows)
    if has_published:
        lines.append("Report: the published row of equal family, schedule, sampler and steps.")
    return lines


def _protocol_line(protocol: Protocol) -> str:
    line = (
        f"{protocol.label}: Fréchet distance of {protocol.extractor} features "
        f"({protocol.dimension} dimensions) to {protocol.n_real} real images; it depends on n."
    )
    if protocol.label == "FID":
        return line
    return line + " It is not an FID: do not compare it with the report's."


def _machines(provenances: Iterable[Provenance]) -> str:
    machines = sorted({(p.gpu or f"{p.cpu}, {p.cores} cores", p.precision) for p in provenances})
    return "Machine: " + "; ".join(f"{name}, {precision}" for name, precision in machines) + "."


def _sharing(cells: Sequence[Cell]) -> list[str]:
    """Say which models sample the same network, and so repeat one training time."""
    models: dict[str, list[str]] = {}
    for cell in cells:
        if cell.trained_as:
            models.setdefault(cell.trained_as, []).append(cell.model)
    return [
        f"{' and '.join(dict.fromkeys(names))} share the network {network}, which was trained once."
        for network, names in models.items()
        if len(set(names)) > 1
    ]


def _checkpoints(rows: Sequence[Row]) -> list[str]:
    """Say which weights came ready."""
    users: dict[tuple[str, str], dict[str, None]] = {}  # of each file, in the order of the rows
    for row in rows:
        if row.cell and row.sample and row.sample.checkpoint:
            checkpoint = row.sample.checkpoint
            users.setdefault((checkpoint.name, checkpoint.sha256), {})[row.cell.model] = None
    return [
        f"Weights of {' and '.join(models)}: {name}, SHA-256 {sha256[:12]}."
        for (name, sha256), models in users.items()
    ]


def _write(run: Run, table: Table) -> list[Path]:
    paths = run.tables(table.name)
    for path, suffix in zip(paths, TABLE_FORMATS, strict=True):
        write_text(path, FORMATS[suffix](table))
    return paths
