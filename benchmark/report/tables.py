"""Tables: our figures beside the published ones, as CSV, Markdown and LaTeX.

Tables are pure functions of the records: the same records give the same bytes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import across_seeds, differs, inverse
from benchmark.records.record import (
    LEAST,
    PART,
    RATE,
    SIZED,
    Cell,
    Kind,
    Protocol,
    Provenance,
    Record,
    distance_at,
    read_records,
)
from benchmark.records.rows import (
    Key,
    Published,
    Row,
    collect,
    find_published,
    floor_of,
    in_table,
    metric_name,
    read_published,
    seconds_per_step,
    table_names,
)
from benchmark.report.formats import BUSY, FEW, FORMATS, Column, Marked, Table, TableEntry
from benchmark.report.letters import Compared, compare_rows
from benchmark.report.verdict_tables import findings_table, verdicts_table
from benchmark.report.verdicts import Claims, judge, read_claims
from benchmark.storage.atomic import write_text
from benchmark.storage.paths import CLAIMS, TABLE_FORMATS, Run

_STAGES: dict[Kind, str] = {
    "data": "prepare",
    "train": "train",
    "sample": "sample",
    "controls": "controls",
    "features": "features",
    "metrics": "evaluate",
    "retrieval": "retrieve",
}


def write_tables(
    run: Run, reference: Path | None, output: Run | None = None, claims: Path = CLAIMS
) -> list[Path]:
    """Write every table of a run in every format.

    Args:
        run: the run, a folder or a bundle; only its records are read.
        reference: CSV of published figures to set beside ours.
        output: what gets the tables; by default the run's own folder.
        claims: what is judged.

    Returns:
        The files written.

    Raises:
        BenchmarkError: there are no records, or the figures or the claims cannot be read.
    """
    records = read_records(run.root)
    tables = all_tables(records, read_published(reference), read_claims(claims))
    return [path for table in tables for path in _write(output or run, table)]


def all_tables(
    records: Sequence[Record], published: dict[Key, Published], claims: Claims
) -> list[Table]:
    """Return verdicts, one table for each `table` of the grid, neighbours, stages and findings."""
    rows = collect(records)
    judged = judge(claims, rows)
    tables = [verdicts_table(judged, published)]
    tables += [results_table(name, rows, published) for name in table_names(rows)]
    if any(row.retrieval for row in rows):
        tables.append(neighbours_table(rows))
    return [*tables, stages_table(records), findings_table(judged)]


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
    Column("train_minutes", "training min", spans_powers=True),
    Column("seconds_per_step", "training s/step", printed=False, spans_powers=True),
    Column("train_busy", None, number=False),
    Column("sample_seconds", "sampling s", printed=False, spans_powers=True),
    Column("seconds_per_image", "s/image", spans_powers=True),
    Column("images_per_second", "images/s", printed=False, spans_powers=True),
    Column("sample_busy", None, number=False),
    Column("network_evaluations", "evaluations/image"),
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
_FLOOR = Column("floor", "floor")
OVER_SEEDS = Column("over_seeds", "mean over seeds")
LETTERS = Column("letters", "letters", number=False)
DISTANCES = [_FLOOR, OVER_SEEDS, LETTERS]
STAGE = [
    Column("stage", "stage", number=False),
    Column("jobs", "jobs"),
    Column("seconds", "seconds in total"),
    Column("median_job_seconds", "seconds of the median job"),
    Column("longest_job_seconds", "of the longest"),
    Column("busy_jobs", "jobs on a busy machine"),
    Column("threads", "threads/job"),
    Column("peak_memory_mb", "peak memory MB"),
]


def results_table(name: str, rows: Sequence[Row], published: dict[Key, Published]) -> Table:
    """Return distances, times and published figures of the cells of one table."""
    mine = in_table(rows, name)
    values = _value_columns([row.metrics for row in mine])
    labels = {row.protocol.label for row in mine if row.protocol}
    values.sort(key=lambda column: column.key not in labels)  # the distance comes first
    compared = compare_rows(mine)
    distances = [_distances(row, mine, compared) for row in mine]
    beside = [c for c in _distance_columns(mine) if any(c.key in entries for entries in distances)]
    matched = [find_published(row.cell, published) for row in mine]
    columns = [
        *IDENTITY,
        *values[: len(labels)],
        *beside,
        *values[len(labels) :],
        *COSTS,
        *(REPORT if any(matched) else []),
    ]
    label = _labels(mine)
    content = [
        {
            **_identity(row, label(row), row.metrics),
            **_named(row.metrics),
            **beside_it,
            **_costs(row),
            **({f"report_{k}": v for k, v in vars(figures).items()} if figures else {}),
        }
        for row, beside_it, figures in zip(mine, distances, matched, strict=True)
    ]
    caption = _caption(mine, compared, any(matched)) + _missing(
        (row.cell.id if row.cell else label(row), row.metrics) for row in mine
    )
    return Table(name, caption, columns, content)


def neighbours_table(rows: Sequence[Row]) -> Table:
    """Return how far samples, and held-out images, lie from the training images."""
    mine = [row for row in rows if row.retrieval]
    label = _labels(mine)
    return Table(
        "neighbours",
        _copies_caption(mine, label),
        [*IDENTITY, *_value_columns([r.retrieval for r in mine])],
        [
            {**_identity(row, label(row), row.retrieval), **_named(row.retrieval), **_accused(row)}
            for row in mine
        ],
    )


def stages_table(records: Sequence[Record]) -> Table:
    """Return what each stage of the run took."""
    caption = [
        "Wall time of the jobs of each stage, start-up included; jobs of one stage may run "
        "beside each other. While trainings and samplings are timed, it is watched whether the "
        "machine is busy.",
        _machines(record.provenance for record in records),
    ]
    kinds = {kind: [r for r in records if r.kind == kind] for kind in _STAGES}
    return Table(
        "stages", caption, STAGE, [_stage(kind, jobs) for kind, jobs in kinds.items() if jobs]
    )


def _distance_columns(rows: Sequence[Row]) -> list[Column]:
    """Return the columns beside the Fréchet distance: of fewer images, of its floor and marks."""
    label = next((row.protocol.label for row in rows if row.protocol), "")
    sizes = sorted({n for row in rows if row.cell for n in row.distances if n != row.cell.samples})
    sized = [Column(distance_at(n), f"{label} (n = {n})") for n in sizes]
    return [*sized, *DISTANCES]


def _distances(
    row: Row, rows: Sequence[Row], compared: Sequence[Compared]
) -> dict[str, TableEntry]:
    """Return the entries of all columns that are made of Fréchet distances."""
    if row.metrics is None or row.protocol is None:
        return {}
    full = row.protocol.n_fake
    entries = {distance_at(n): _marked(row, v, n) for n, v in row.distances.items()}
    entries[row.protocol.label] = entries.get(distance_at(full))
    if floor := floor_of(row, rows):
        entries["floor"] = _marked(row, floor, full)
    if len(seeds := _seeds(row, rows)) > 1:
        entries["over_seeds"] = _marked(row, across_seeds(seeds), full)
    for group in compared:
        if row.metrics.id in group.letters:
            entries["letters"] = group.letters[row.metrics.id]
    return entries


def _marked(row: Row, value: Value, n: int) -> TableEntry:
    """Return a distance of n images, with a mark where they are few."""
    return Marked(value, FEW) if n < (row.few or 0) else value


def _seeds(row: Row, rows: Iterable[Row]) -> list[Value]:
    """Return the distances of the cells that differ from this row's in their seed only."""
    own = _seedless(row)
    return [other.distance for other in rows if own and _seedless(other) == own and other.distance]


def _seedless(row: Row) -> dict[str, object] | None:
    return row.cell.model_dump(exclude={"id", "seed"}) if row.cell else None


def _values(record: Record | None) -> dict[str, Value]:
    return record.values if record else {}


def _named(record: Record | None) -> dict[str, TableEntry]:
    """Return the values of a record by the keys of their columns, in which some may be missing."""
    if record is None:
        return {}
    keys = [*record.values, *(key for key in record.missing if not _is_sized(key))]
    return {metric_name(record, key): record.values.get(key) for key in keys}


def _value_columns(records: Sequence[Record | None]) -> list[Column]:
    whole_first = sorted(records, key=lambda record: len(record.missing) if record else 0)
    names = dict.fromkeys(name for record in whole_first for name in _named(record))
    return [Column(name, _heading(name)) for name in names]


def _accused(row: Row) -> dict[str, TableEntry]:
    """Return the numbers of the accused and the closest as whole ones."""
    values = _values(row.retrieval)
    return {key: int(values[key].value) for key in ("accused", "closest") if key in values}


def _heading(name: str) -> str:
    """Write out a metric's name; three letters are an acronym, as KID."""
    known = {"data_copying": "C_T", "authenticity": "AuthPct", "closest_p": "p"}
    return known.get(name) or (name.upper() if len(name) <= 3 else name.replace("_", " "))


def _labels(rows: Iterable[Row]) -> Callable[[Row], str]:
    """Name rows by family, and by model too where a family has several in this table."""
    models = {(row.cell.family, row.cell.model) for row in rows if row.cell}
    families = [family for family, _ in models]

    def label(row: Row) -> str:
        if row.is_floor:
            return "held-out images"
        if row.control:
            return row.control.kind.replace("-", " ")
        assert row.cell
        several = families.count(row.cell.family) > 1
        return f"{row.cell.family} ({row.cell.model})" if several else row.cell.family

    return label


def _identity(row: Row, label: str, record: Record | None) -> dict[str, TableEntry]:
    n_fake = record.protocol.n_fake if record and record.protocol else None
    if row.cell is None:
        return {"label": label, "dataset": row.dataset, "samples": n_fake}
    cell = row.cell.model_dump(exclude={"id", "table"})
    return {"cell": row.cell.id, "label": label, **cell}


def _costs(row: Row) -> dict[str, TableEntry]:
    costs: dict[str, TableEntry] = {}
    if row.training and "train_seconds" in row.training.values:
        minutes = Value(value=row.training.values["train_seconds"].value / 60)
        costs |= {
            "train_minutes": _timed(minutes, row.training),
            "seconds_per_step": _timed(seconds_per_step(row.training), row.training),
            "train_busy": _busy(row.training),
        }
    if row.sample and row.sample.timing and row.seconds:
        timing, machine = row.sample.timing, row.sample.provenance
        evaluations = timing.network_evaluations  # of an adaptive solver a mean
        costs |= {
            "sample_seconds": _timed(Value(value=timing.seconds), row.sample),
            "seconds_per_image": _timed(row.seconds, row.sample),
            "images_per_second": _timed(inverse(row.seconds), row.sample),
            "sample_busy": _busy(row.sample),
            "network_evaluations": int(evaluations) if evaluations.is_integer() else evaluations,
            "batch": timing.batches,
            "threads": machine.threads,
            "device": machine.gpu or "CPU",
        }
    return costs


def _timed(value: Value | None, record: Record) -> TableEntry:
    """Return a time of a record, with a mark where the machine was busy."""
    return Marked(value, BUSY) if value and record.busy else value


def _busy(record: Record) -> str:
    """Say for machines what the mark says for readers."""
    return record.busy or ("" if record.busy_is_told else "unknown")


def _stage(kind: Kind, records: Sequence[Record]) -> dict[str, TableEntry]:
    jobs = [job for record in records for job in record.ran]  # shards are jobs of their own
    seconds = [job.wall_seconds for job in jobs]
    watched = [_busy_jobs(record) for record in records if record.contention]
    memory = [record.timing.peak_memory_bytes for record in records if record.timing]
    return {
        "stage": _STAGES[kind],
        "jobs": len(jobs),
        "seconds": math.fsum(seconds),
        "median_job_seconds": statistics.median(seconds),
        "longest_job_seconds": max(seconds),
        "busy_jobs": sum(watched) if watched else None,
        "threads": max(record.provenance.threads for record in records),
        "peak_memory_mb": round(max(memory) / 1e6) if memory else None,
    }


def _busy_jobs(record: Record) -> int:
    """Return how many of the jobs of a record ran on a busy machine."""
    if record.jobs is None:
        return int(bool(record.busy))
    return sum(bool(part.busy) for part in record.contention)


def _caption(rows: Sequence[Row], compared: Sequence[Compared], has_published: bool) -> list[str]:
    cells = [row.cell for row in rows if row.cell]
    sets = dict.fromkeys(f"{c.dataset} at {c.resolution}×{c.resolution}" for c in cells)
    jobs = [job for row in rows for job in (row.training, row.sample) if job]
    lines = [f"Data: {'; '.join(sets)}.", *_skipped(rows)]
    lines += dict.fromkeys(_protocol_line(row.protocol) for row in rows if row.protocol)
    values = [value for row in rows for value in _values(row.metrics).values()]
    if any(value.std_error is not None for value in values):
        lines.append("± is one standard error.")
    values += [row.seconds for row in rows if row.seconds]
    if any(value.low is not None for value in values):
        lines.append("[a, b] is a 95 % interval.")
    lines += _reading(rows, compared) + _controls(rows)
    if jobs:
        lines.append(
            "Sampling is timed without loading and saving; s/image is the median of the laps, the "
            "parts of batches that were timed. " + _machines(job.provenance for job in jobs)
        )
        lines += _busy_lines(jobs)
    lines += _sharing(cells) + _checkpoints(rows) + _choices(rows)
    lines += _elsewhere(rows)
    if has_published:
        lines.append("Report: the published row of equal family, schedule, sampler and steps.")
    return lines


def _skipped(rows: Sequence[Row]) -> list[str]:
    """Say how many images of a data set could not be read and were left out, if any."""
    counts = {row.dataset: row.data.values.get("bad_images") for row in rows if row.data}
    return [
        f"Of {name}, {count.value:.0f} unreadable image{'s' * (count.value != 1)} left out."
        for name, count in counts.items()
        if count and count.value
    ]


def _reading(rows: Sequence[Row], compared: Sequence[Compared]) -> list[str]:
    """Say what floor, marks and letters mean, where there are any."""
    lines = [
        f"{FEW}: of fewer than {few} images, whose covariance says little; the bias dominates."
        for few in sorted({row.few or 0 for row in rows})
        if any(n < few for row in rows for n in row.distances)
    ]
    if any(floor_of(row, rows) for row in rows):
        lines.append("Floor: the distance of as many held-out images; empty where there are fewer.")
    if sizes := [str(group.n) for group in compared]:
        lines.append(
            "Letters: rows that share one cannot be told apart, as the 95 % interval of the "
            f"difference of their distances at n = {' and '.join(sizes)} holds 0; rows without a "
            "letter were not measured at this n, and distances at different n do not compare."
        )
    if any(len(_seeds(row, rows)) > 1 for row in rows):
        lines.append("Mean over seeds: its interval follows from the scatter between them.")
    return lines


def _busy_lines(jobs: Sequence[Record]) -> list[str]:
    """Say what the mark of times means, where there is one, and of which times nothing is known."""
    timed = list({(job.kind, job.id): job for job in jobs if job.timing or job.curve}.values())
    lines = [
        f"{BUSY}: others took a tenth of a core or more while this was timed, or the machine was "
        "held back: such a time says little, and compares with no other."
    ] * any(job.busy for job in timed)
    untold = [job.id for job in timed if not job.busy_is_told]
    if untold:
        which = "any time" if len(untold) == len(timed) else ", ".join(untold)
        lines.append(f"Whether the machine was busy is not told of {which}.")
    return lines


def _controls(rows: Sequence[Row]) -> list[str]:
    """Say what the controls are, and which of them the distance has noticed."""
    texts = {row.control.kind: row.control.text for row in rows if row.control}
    said = "; ".join(f"{kind.replace('-', ' ')}: {text}" for kind, text in texts.items())
    lines = [f"Controls: {said}."] if texts else []
    noticed: dict[bool, dict[str, None]] = {True: {}, False: {}}
    for row in rows:
        floor = floor_of(row, rows)
        if row.control and row.distance and floor and floor.low is not None:
            noticed[differs(row.distance, floor)][row.control.kind.replace("-", " ")] = None
    for answer, kinds in noticed.items():
        if kinds:
            lines.append(
                f"{'Told' if answer else 'Not told'} from as many held-out images by the distance "
                f"of all their images: {', '.join(kinds)}."
            )
    return lines


def _protocol_line(protocol: Protocol) -> str:
    line = (
        f"{protocol.label}: Fréchet distance of {protocol.extractor} features "
        f"({protocol.dimension} dimensions) to {protocol.n_real} real images; it depends on n."
    )
    if protocol.label.startswith("FID"):
        return line
    return line + " It is not an FID: do not compare it with the report's."


def _machines(provenances: Iterable[Provenance]) -> str:
    machines = sorted({(p.gpu or f"{p.cpu}, {p.cores} cores", p.precision) for p in provenances})
    return "Machine: " + "; ".join(f"{name}, {precision}" for name, precision in machines) + "."


def _copies_caption(rows: Sequence[Row], label: Callable[[Row], str]) -> list[str]:
    """Say how to read the figures of memorisation, and why some are not given."""
    judged = [(label(row), row.retrieval.facts) for row in rows if row.retrieval]
    lines = [
        "Nearest: Euclidean distance in feature space from each image to the nearest training "
        "image. It says something only beside that of held-out images, which are real and were "
        "never trained on; of these each second one is compared with the others.",
        "Distance ratio: median of the nearest distances over that of held-out images. Closer "
        "share: excess of samples that lie closer than held-out images, 0 to 1. C_T: below 0, "
        "samples lie closer than held-out images. AuthPct: % of samples that lie farther from "
        "their training image than its neighbour does.",
    ]
    lines += [
        "Accused: samples whose calibrated distance to a training image in pixels, flips and "
        f"near-duplicates allowed for, is too small by chance; of these at most {rate:.0%} are "
        "innocent on average."
        for rate in dict.fromkeys(facts.get(RATE) for _, facts in judged)
        if isinstance(rate, float)
    ]
    blind: dict[object, list[str]] = {}  # of fewer copies than so many
    for name, facts in judged:
        blind.setdefault(facts.get(LEAST), []).append(name)
    least = [f"{n} in {', '.join(names)}" for n, names in blind.items() if n not in (None, 1)]
    if least:
        lines.append(f"Fewer copies than these in a row are not accused: {'; '.join(least)}.")
    if any("closest" in facts for _, facts in judged):
        lines.append(
            "Closest: how many have a smaller calibrated distance than every held-out image; p: "
            "the chance of so many where none is a copy, small also where copies are too few to "
            "be accused."
        )
    planted = {
        name.removeprefix(PART): share
        for _, facts in judged
        for name, share in facts.items()
        if name.startswith(PART) and isinstance(share, float)
    }
    if planted:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in planted.items())
        lines.append(f"Accused of the planted copies: {shares}.")
    return lines + _missing((label(row), row.retrieval) for row in rows)


def _missing(named: Iterable[tuple[str, Record | None]]) -> list[str]:
    """Say once for each reason which values could not be computed, and of which rows."""
    groups: dict[tuple[str, str], list[str]] = {}  # names of rows, by values and reason
    for name, record in named:
        missing = record.missing if record else {}
        for why in dict.fromkeys(missing.values()):
            keys = [key for key, reason in missing.items() if reason == why]
            values = ", ".join(_heading(_title(record, key)) for key in keys)
            groups.setdefault((values, why), []).append(name)
    return [
        f"No {values} for {', '.join(dict.fromkeys(names))}: {why}."
        for (values, why), names in groups.items()
    ]


def _title(record: Record | None, key: str) -> str:
    """Return what a value is called above its column."""
    assert record
    if record.protocol and _is_sized(key):
        return f"{record.protocol.label} (n = {key.removeprefix(SIZED)})"
    return metric_name(record, key)


def _is_sized(key: str) -> bool:
    return key.startswith(SIZED)


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


def _elsewhere(rows: Sequence[Row]) -> list[str]:
    """Say which images were made elsewhere."""
    return [
        f"{row.cell.model} (seed {row.cell.seed}): {row.cell.samples} of the "
        f"{row.sample.facts['images_in_folder']} images in {row.sample.facts['folder']}, "
        "made elsewhere."
        for row in rows
        if row.cell and row.sample and row.cell.weights == "elsewhere"
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


def _choices(rows: Sequence[Row]) -> list[str]:
    """Say what of a checkpoint's settings its rows do not follow."""
    models: dict[str, dict[str, None]] = {}  # of each setting, in the order of the rows
    for row in rows:
        if row.cell and row.sample and row.sample.checkpoint:
            for choice in row.sample.checkpoint.choices:
                models.setdefault(str(choice), {})[row.cell.model] = None
    return [
        f"Not as the checkpoint of {' and '.join(names)}: {choice}."
        for choice, names in models.items()
    ]


def _write(run: Run, table: Table) -> list[Path]:
    paths = run.tables(table.name)
    for path, suffix in zip(paths, TABLE_FORMATS, strict=True):
        write_text(path, FORMATS[suffix](table))
    return paths
