"""Records joined by cell, in the order of the tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, get_args

import pandas as pd

from benchmark.core.errors import BenchmarkError
from benchmark.core.reserved import TABLES
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import median_rate
from benchmark.records.record import Cell, Control, Kind, Protocol, Record
from benchmark.records.timing import Timing
from benchmark.storage.paths import HELD_OUT

# Families of the report, in its order.
REPORTED = ("DDPM", "DDIM", "NCSN", "SBGM-SDE")
TIMED_ALIKE = {
    "cpu",
    "cores",
    "threads",
    "processes",
    "precision",
    "compiled",
    "device",
    "gpu",
}
# Names in a comparison of the distance, of the time of an image and of that of a training step.
FRECHET, TIME, TRAINING = "fd", "time", "training"
STEP = "train_seconds_per_step"  # its name in the record of a training


@dataclass(frozen=True)
class Row:
    """What the records say about one cell, or about one control."""

    dataset: str
    cell: Cell | None = None
    control: Control | None = None
    training: Record | None = None
    data: Record | None = None
    sample: Record | None = None
    metrics: Record | None = None
    retrieval: Record | None = None
    answers: Record | None = None

    @property
    def protocol(self) -> Protocol | None:
        """How the distance of this row was measured."""
        return self.metrics.protocol if self.metrics else None

    @property
    def distance(self) -> Value | None:
        """The Fréchet distance of this row."""
        values = self.metrics.values if self.metrics else {}
        return next((v for k, v in values.items() if is_frechet(self.metrics, k)), None)

    @property
    def distances(self) -> dict[int, Value]:
        """The Fréchet distance by the number of images: of all, and of the first ones."""
        if not self.metrics or not self.protocol:
            return {}
        whole = {self.protocol.n_fake: self.distance} if self.distance else {}
        return {**self.metrics.sized, **whole}

    @property
    def no_distance(self) -> str:
        """Why this row has no Fréchet distance; empty where none was measured."""
        missing = self.metrics.missing if self.metrics else {}
        return next((why for k, why in missing.items() if is_frechet(self.metrics, k)), "")

    @property
    def seconds(self) -> Value | None:
        """The seconds per image: the median of the laps, with its 95 % interval."""
        timing = self.sample.timing if self.sample else None
        return seconds_per_image([timing]) if timing else None

    @property
    def busy(self) -> str:
        """Why the seconds per image are not valid; empty if nothing speaks against them."""
        return self.sample.busy if self.sample else ""

    @property
    def few(self) -> int | None:
        """The number of images below which a distance is marked."""
        judged = self.metrics.judged if self.metrics else None
        return judged.few if judged else None

    @property
    def is_floor(self) -> bool:
        """Whether this is the row of the held-out images, whose distance is the floor."""
        return self.control is not None and self.control.kind == HELD_OUT


def seconds_per_image(timings: Iterable[Timing]) -> Value:
    """Return the median of the laps of full batches, of one cell or of several seeds of it."""
    laps = [lap for timing in timings for lap in timing.full_laps]
    return median_rate([lap.seconds for lap in laps], [lap.images for lap in laps])


def seconds_per_step(training: Record) -> Value | None:
    """Return the median of a training's laps; records before schema 3 have only the mean."""
    if training.step_laps:
        seconds, steps = zip(*training.step_laps, strict=True)
        return median_rate(seconds, steps)
    return training.values.get(STEP)


def seconds_of_training(row: Row) -> float | None:
    """Return the seconds that the training of a row's weights took; None: it is not told.

    Those of a kept state are the seconds of the laps until then.
    """
    if row.training is None or row.cell is None:
        return None
    if row.cell.trained_steps is None:
        whole = row.training.values.get("train_seconds")
        return whole.value if whole else None
    done, seconds = 0, 0.0
    for lap, steps in row.training.step_laps:
        if done + steps > row.cell.trained_steps:
            break
        done, seconds = done + steps, seconds + lap
    return seconds if done == row.cell.trained_steps else None


def collect(records: Iterable[Record]) -> list[Row]:
    """Join the records by cell, in the order of the tables, in which controls come last."""
    found = pd.DataFrame([(r.kind, r.id, r) for r in records], columns=["kind", "id", "record"])
    found = found.drop_duplicates(["kind", "id"], keep="last")
    by_kind = found.pivot(index="id", columns="kind", values="record")
    by_kind = by_kind.reindex(columns=get_args(Kind)).astype(object)
    rows = (
        _subjects(found["record"])
        .join(by_kind[["sample", "metrics", "retrieval", "answers"]], on="id")
        .join(by_kind["train"].rename("training"), on="trained_as")
        .join(by_kind["data"], on="dataset")
    )[[field.name for field in fields(Row)]]
    rows = rows.where(rows.notna(), None)
    return [Row(*row) for row in rows.itertuples(index=False, name=None)]


def _subjects(records: Iterable[Record]) -> pd.DataFrame:
    """Return a line for each cell and then for each control, in the order of the tables."""
    # Evaluation is cheap, so a cell that moves to another table is evaluated anew, not sampled.
    newest_last = sorted(records, key=lambda record: record.kind == "metrics")
    cells = {record.cell.id: record.cell for record in newest_last if record.cell}
    controls = {record.id: record.control for record in newest_last if record.control}
    lines: list[tuple[object, ...]] = [
        (cell.id, cell.dataset, cell, None, cell.trained_as)
        for cell in sorted(cells.values(), key=_order)
    ]
    lines += [
        (name, control.dataset, None, control, None)
        for name, control in sorted(controls.items(), key=_control_order)
    ]
    columns = ["id", "dataset", "cell", "control", "trained_as"]
    return pd.DataFrame(lines, columns=columns, dtype=object)


def plain(rows: Iterable[Row]) -> list[Row]:
    """Return the rows without those of cells that answer questions, or of kept states."""
    return [row for row in rows if not (row.cell and (row.cell.task or row.cell.is_state))]


def table_names(rows: Iterable[Row]) -> list[str]:
    """Return the tables that the cells belong to, those trained from scratch first.

    Raises:
        BenchmarkError: the grid uses the name of a table that every run has.
    """
    names = list(dict.fromkeys(row.cell.table for row in rows if row.cell))
    for name in set(names).intersection(TABLES):
        raise BenchmarkError(f"grid: table {name!r} is a table that every run has: choose another")
    return names


def in_table(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the rows of one table, and the controls of the data sets that it uses."""
    rows = list(rows)
    cells = [row for row in rows if row.cell and row.cell.table == name]
    datasets = {row.dataset for row in cells}
    return cells + [r for r in rows if not r.cell and r.metrics and r.dataset in datasets]


def is_frechet(record: Record | None, column: str) -> bool:
    """Tell whether a column of a metrics record is the Fréchet distance.

    The config chooses the name of the column; the record's specification has the kind of its
    metric.
    """
    return record is not None and metric_options(record, column)["kind"] in ("frechet", "fd")


def metric_options(record: Record, column: str) -> dict[str, Any]:
    """Return the options of the metric that filled a column, its `kind` among them."""
    metrics = record.spec.get("evaluation", {}).get("metrics", {})
    return {"kind": column, **metrics.get(column, {})}


def metric_name(record: Record, column: str) -> str:
    """Return what a metric is called: a Fréchet distance by the label of its extractor."""
    if record.protocol and is_frechet(record, column):
        return record.protocol.label
    return column


def floor_of(row: Row, rows: Iterable[Row], n: int | None = None) -> Value | None:
    """Return the distance of as many held-out images as this row has images, where measured.

    Args:
        row: what is measured.
        rows: all rows of the run.
        n: the number of images; by default all that the row has.
    """
    if row.protocol is None or row.is_floor:
        return None
    floors = [other for other in rows if other.is_floor and comparable(other) == comparable(row)]
    return floors[0].distances.get(n or row.protocol.n_fake) if floors else None


def seeds_of(row: Row, rows: Iterable[Row]) -> list[Value]:
    """Return the distances of the cells that differ from this row's in their seed only."""
    own = seedless(row)
    return [other.distance for other in rows if own and seedless(other) == own and other.distance]


def comparable(row: Row) -> tuple[object, ...]:
    """Return what two distances must have in common, besides n, to be compared."""
    assert row.protocol
    return tuple(row.protocol.model_dump(exclude={"n_fake"}).values())


def common_size(rows: Iterable[Row]) -> int | None:
    """Return the number of images at which most of some rows are measured, of several the largest.

    None: none of them has a distance.
    """
    counts = Counter(n for row in rows for n in row.distances)
    return max(counts, key=lambda n: (counts[n], n), default=None)


def timed_alike(row: Row) -> dict[str, object]:
    """Return what two sampling times must have in common to be compared, by name."""
    assert row.sample
    assert row.sample.timing
    machine = row.sample.provenance.model_dump(include=TIMED_ALIKE)
    return {**machine, "batch": row.sample.timing.batches}


def trained_alike(training: Record) -> dict[str, object]:
    """Return what two times of training must have in common to be compared, by name."""
    machine = training.provenance.model_dump(include=TIMED_ALIKE)
    statistic = "median" if training.step_laps else "mean"
    batch = training.trained.batch if training.trained else None
    return {**machine, "batch": batch, "statistic": statistic}


def name_of(cell: Cell) -> str:
    """Return a cell's name for readers, without the sampler if that has the name of the family."""
    if cell.weights == "elsewhere":
        return cell.model
    schedule, sampler, steps = cell.sampling
    named = "" if sampler.lower() == cell.family.lower() else f" {sampler}"
    scale = f" {cell.scale}" if cell.scale else ""
    asked = f", {cell.task.label}" if cell.task else ""
    after = f", trained for {cell.trained_steps} steps" if cell.trained_steps else ""
    raw = ", raw weights" if cell.raw else ""
    return f"{cell.family} {schedule}{named} {steps}{scale}{asked}{after}{raw}"


def setting_name(cell: Cell) -> str:
    """Name a setting by its model, as the config does, and by how it is sampled."""
    if cell.weights == "elsewhere":
        return cell.model
    schedule, sampler, steps = cell.sampling
    scale = f", {cell.scale}" if cell.scale else ""
    return f"{cell.model} ({schedule}, {sampler}, {steps_text(steps)}{scale})"


def steps_text(steps: int) -> str:
    """Return a number of steps in words, as 1 step or 50 steps."""
    return "1 step" if steps == 1 else f"{steps} steps"


def title_of(cell: Cell) -> str:
    """Name a cell and say where its weights are from."""
    origin = {"pretrained": ", pretrained", "elsewhere": ", made elsewhere"}
    return name_of(cell) + origin.get(cell.weights, "")


def rank_of(cell: Cell) -> int:
    """Return the position of a cell's family; those that the report does not have come last."""
    return REPORTED.index(cell.family) if cell.family in REPORTED else len(REPORTED)


def seedless(row: Row) -> dict[str, object] | None:
    """Return what the seeds of a setting have in common; None for a control."""
    return row.cell.model_dump(exclude={"id", "seed"}) if row.cell else None


def _control_order(item: tuple[str, Control]) -> tuple[object, ...]:
    name, control = item
    return (control.dataset, control.kind != HELD_OUT, name)


def _order(cell: Cell) -> tuple[object, ...]:
    return (
        cell.weights != "from-scratch",
        cell.weights == "elsewhere",
        cell.table,
        rank_of(cell),
        cell.family,
        cell.model,
        cell.schedule or "",
        cell.sampler or "",
        cell.steps or 0,
        -1 if cell.guidance is None else cell.guidance,
        cell.task.label if cell.task else "",
        cell.trained_steps or math.inf,
        cell.raw,
        cell.seed,
    )
