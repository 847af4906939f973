"""Compare runs: the same cells side by side, and only figures that can be compared."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import nearest_names
from benchmark.core.values import Value
from benchmark.metrics import METRICS
from benchmark.metrics.uncertainty import difference, with_interval
from benchmark.records.record import RATE, Record, read_records
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

Mark = Literal["better", "worse", "same", "cannot tell", "not comparable", "missing", "new"]
MARKS: tuple[Mark, ...] = get_args(Mark)
COMPARED: tuple[Mark, ...] = ("better", "worse", "same", "cannot tell")
_UNCHANGED: tuple[Mark, ...] = ("same", "cannot tell")

# Figures of memorisation of which less is better; the others have no better end.
COPYING = ("accused_share", "closer_share")
NOT_OF_A_MACHINE = {"started", "wall_seconds", "startup_seconds", "libraries"}
# differ by the kind of job in one run
OF_A_JOB = ("device", "threads", "processes", "precision", "compiled")
HASH = 12  # characters of a hash that are shown


@dataclass(frozen=True)
class Threshold:
    """The largest difference that does not matter: an amount, or a share of the first value."""

    amount: float
    relative: bool = False

    def of(self, base: Value) -> float:
        """Return the threshold in the unit of a value."""
        return self.amount * abs(base.value) if self.relative else self.amount

    def __str__(self) -> str:
        return f"{self.amount:.6g}" if not self.relative else f"{100 * self.amount:.6g}%"


# The scatter within one run does not hold what differs from one run to the next: other work on the
# machine, its temperature, where memory lies.
DEFAULTS = dict.fromkeys((TIME, TRAINING), Threshold(0.1, relative=True))


@dataclass(frozen=True)
class Measured:
    """A figure of one cell.

    Attributes:
        value: what was found.
        name: what is shown for it.
        higher_is_better: which end is the better one; None: its kind of metric is not known here.
        conditions: what must be equal where it is compared.
        busy: why it says nothing of what was timed; empty: nothing speaks against it.
        told: whether it is known that nothing does.
    """

    value: Value
    name: str
    higher_is_better: bool | None
    conditions: Mapping[str, object]
    busy: str = ""
    told: bool = True


@dataclass(frozen=True)
class Figure:
    """A metric of one cell in two runs.

    Attributes:
        cell: its id.
        metric: its key, as for `--metric`.
        base: in the first run.
        other: in the other run.
        difference: other − base, with its interval where both have one.
        mark: what the difference says.
        why: the conditions that differ, or why nothing can be told.
    """

    cell: str
    metric: str
    base: Value | None
    other: Value | None
    mark: Mark
    difference: Value | None = None
    why: str = ""


@dataclass(frozen=True)
class Change:
    """Something of the environment that differs."""

    field: str
    base: str
    other: str


@dataclass(frozen=True)
class Pair:
    """One run against the first.

    Attributes:
        base: label of the first run.
        other: label of the other.
        environment: what differs between the machines and the code of the two.
        specs: by kind of job, how many of the jobs that both have differ in their specification,
            and how many both have.
        missing: cells that only the first run has.
        new: cells that only the other has.
        untold: labels of the runs with times of which it is not told whether the machine was busy.
        figures: of the cells that both have; `changed` leaves some out.
        counts: how often each mark was given, to all figures.
    """

    base: str
    other: str
    environment: list[Change]
    specs: dict[str, tuple[int, int]]
    missing: list[str]
    new: list[str]
    untold: list[str]
    figures: list[Figure]
    counts: dict[Mark, int]


@dataclass(frozen=True)
class Comparison:
    """Runs against the first.

    Attributes:
        pairs: one for each run but the first.
        metrics: the name to show of each metric that was compared, by its key.
        higher: the metrics of which more is better.
        thresholds: by metric.
        status: the exit status. 1: a figure is worse. 2: none is, but one is not comparable, or a
            pair has nothing to compare, or nothing of a metric that was asked for by name.
    """

    pairs: list[Pair]
    metrics: dict[str, str]
    higher: list[str]
    thresholds: dict[str, Threshold]
    status: int


def compare(runs: Sequence[Path], metrics: str = "", thresholds: str = "") -> Comparison:
    """Compare each run with the first.

    Args:
        runs: folders or bundles, two at least.
        metrics: names with commas between them, as `fd,time`; empty: all.
        thresholds: as `fd=0.5,time=10%`.

    Raises:
        BenchmarkError: a run cannot be read or is named twice, or a metric or a threshold is
            unknown or malformed.
    """
    names = labels(runs)
    records = [read_records(run) for run in runs]
    tables = [_by_cell(found) for found in records]
    measured = [item for table in tables for cell in table.values() for item in cell.items()]
    known = _known(measured)
    asked = _chosen(metrics, known)
    wanted = asked or frozenset(known.values())
    limits = _thresholds(thresholds, {name: key for name, key in known.items() if key in wanted})
    shown = {key: figure.name for key, figure in reversed(measured) if key in wanted}
    order = sorted(shown, key=_rank)
    pairs = [
        _pair((names[0], records[0], tables[0]), other, order, limits)
        for other in zip(names[1:], records[1:], tables[1:], strict=True)
    ]
    return Comparison(
        pairs=pairs,
        metrics={key: shown[key] for key in order},
        higher=sorted({key for key, figure in measured if figure.higher_is_better}),
        thresholds={key: limit for key, limit in limits.items() if key in wanted},
        status=_status(pairs, asked),
    )


def labels(runs: Sequence[Path]) -> list[str]:
    """Return what the runs are called: by their last part, or as given where two share it.

    Raises:
        BenchmarkError: fewer than two, or one of them twice.
    """
    if len(runs) < 2:
        raise BenchmarkError(f"compare: {len(runs)} run: give two or more")
    places: dict[Path, Path] = {}
    for run in runs:
        place = run.resolve()
        if place in places:
            raise BenchmarkError(f"{run}: the same run as {places[place]}: give two different ones")
        places[place] = run
    names = [place.name for place in places]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def judge_change(base: Measured, other: Measured, threshold: Threshold) -> tuple[Mark, Value, str]:
    """Return the mark of two comparable figures, their difference, and why nothing can be told.

    - same: the two are identical, or the interval of the difference lies within the threshold.
    - better, worse: the interval excludes 0, and the difference exceeds the threshold.
    - cannot tell: all else, also where a figure has no interval.
    """
    delta = other.value.value - base.value.value
    before, after = with_interval(base.value), with_interval(other.value)
    if base.value == other.value:
        return "same", Value(value=0), ""
    if before is None or after is None:
        return "cannot tell", Value(value=delta), "a figure without an interval"
    found = difference(after, before)
    assert found.low is not None
    assert found.high is not None
    limit = threshold.of(base.value)
    if limit and -limit <= found.low and found.high <= limit:
        return "same", found, ""
    if (found.low > 0 or found.high < 0) and abs(delta) > limit:
        if base.higher_is_better is None:
            return "cannot tell", found, "which end is better is not known of this metric"
        return "better" if (delta > 0) == base.higher_is_better else "worse", found, ""
    return "cannot tell", found, ""


def changed(comparison: Comparison) -> Comparison:
    """Return a comparison without the figures that are the same or of which nothing can be told."""
    pairs = [
        replace(pair, figures=[f for f in pair.figures if f.mark not in _UNCHANGED])
        for pair in comparison.pairs
    ]
    return replace(comparison, pairs=pairs)


def _status(pairs: Iterable[Pair], asked: frozenset[str]) -> int:
    figures = [pair.figures for pair in pairs]
    marks = {figure.mark for each in figures for figure in each}
    done = [{figure.metric for figure in each if figure.mark in COMPARED} for each in figures]
    if "worse" in marks:
        return 1
    return 2 if "not comparable" in marks or any(not d or asked - d for d in done) else 0


Cells = dict[str, dict[str, Measured]]  # by the cell's id and the metric's key
Side = tuple[str, list[Record], Cells]  # its label and what it holds


def _pair(
    first: Side, second: Side, metrics: Sequence[str], thresholds: Mapping[str, Threshold]
) -> Pair:
    (base, records, cells), (other, others, new) = first, second
    figures = _figures(cells, new, metrics, thresholds)
    reasons = _reasons([*records, *others])
    figures = [
        replace(figure, why=reasons.get((figure.cell, figure.metric), ""))
        if figure.mark in ("missing", "new")
        else figure
        for figure in figures
    ]
    counts = Counter(figure.mark for figure in figures)
    return Pair(
        base=base,
        other=other,
        environment=_environment(records, others),
        specs=_specs(records, others),
        missing=[cell for cell in cells if cell not in new],
        new=[cell for cell in new if cell not in cells],
        untold=[
            label
            for label, found in ((base, cells), (other, new))
            if any(not found[f.cell][f.metric].told for f in figures if f.base and f.other)
        ],
        figures=figures,
        counts={mark: counts[mark] for mark in MARKS if counts[mark]},
    )


Reasons = dict[tuple[str, str], str]  # why a cell has no figure, by its id and the metric's key


def _reasons(records: Iterable[Record]) -> Reasons:
    """Return why figures that are compared could not be computed."""
    return {
        (record.cell.id, FRECHET if is_frechet(record, name) else name): why
        for record in records
        if record.cell
        for name, why in record.missing.items()
    }


def _by_cell(records: Iterable[Record]) -> Cells:
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
    conditions = {**record.protocol.model_dump(), RATE: record.facts.get(RATE)}
    return {
        name: Measured(record.values[name], name, False, conditions)
        for name in COPYING
        if name in record.values
    }


def _time(row: Row) -> dict[str, Measured]:
    """Return the seconds per image; steps and sampler are equal where the id of a cell is."""
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


def _rank(key: str) -> tuple[bool, bool, bool, bool]:
    """Order metrics: the distance, its like, memorisation, time, that of training."""
    return (key == TRAINING, key == TIME, key in COPYING, key != FRECHET)


def _known(measured: Sequence[tuple[str, Measured]]) -> dict[str, str]:
    """Return the metrics of all runs by every name that they may be called, in small letters."""
    return {
        **{figure.name.lower(): key for key, figure in measured if key not in DEFAULTS},
        **{key.lower(): key for key, _ in measured},
    }


def _chosen(text: str, known: Mapping[str, str]) -> frozenset[str]:
    return frozenset(_find(part, known, "--metric") for part in _parts(text, "--metric"))


def _thresholds(text: str, known: Mapping[str, str]) -> dict[str, Threshold]:
    found: dict[str, Threshold] = {}
    for part in _parts(text, "--threshold"):
        name, _, amount = part.partition("=")
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(%?)", amount.strip())
        if match is None or not math.isfinite(float(amount.strip().rstrip("%"))):
            raise BenchmarkError(
                f"--threshold: {part!r} is no threshold: give NAME=NUMBER or NAME=NUMBER%, "
                "as fd=0.5,time=10%"
            )
        key = _find(name.strip(), known, "--threshold")
        if key in found:
            raise BenchmarkError(f"--threshold: {name.strip()} has two: give one")
        number, relative = float(amount.strip().rstrip("%")), bool(match[3])
        found[key] = Threshold(number / 100 if relative else number, relative)
    return DEFAULTS | found


def _parts(text: str, option: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(parts):
        raise BenchmarkError(
            f"{option}: {text!r} has an empty part: give names with commas between"
        )
    return parts


def _find(name: str, known: Mapping[str, str], option: str) -> str:
    if name.lower() not in known:
        raise BenchmarkError(f"{option}: no metric {name!r}: {nearest_names(name, known)}")
    return known[name.lower()]


def _figures(
    base: Cells, other: Cells, metrics: Sequence[str], thresholds: Mapping[str, Threshold]
) -> list[Figure]:
    return [
        _figure(cell, key, base[cell].get(key), other[cell].get(key), thresholds.get(key))
        for key in metrics
        for cell in base
        if cell in other and (key in base[cell] or key in other[cell])
    ]


def _figure(
    cell: str,
    key: str,
    base: Measured | None,
    other: Measured | None,
    threshold: Threshold | None,
) -> Figure:
    if base is None or other is None:
        values = base.value if base else None, other.value if other else None
        return Figure(cell, key, *values, "missing" if base else "new")
    if differing := _differing(base.conditions, other.conditions):
        return Figure(cell, key, base.value, other.value, "not comparable", why=differing)
    if base.value != other.value and (why := _busy(base, other)):
        return Figure(cell, key, base.value, other.value, "not comparable", why=why)
    mark, delta, why = judge_change(base, other, threshold or Threshold(0))
    return Figure(cell, key, base.value, other.value, mark, delta, why)


def _busy(base: Measured, other: Measured) -> str:
    """Say in which of two runs the machine was busy, and with what."""
    sides = ((base.busy, "first run"), (other.busy, "other run"))
    found = [f"{why} ({run})" for why, run in sides if why]
    return f"machine was busy: {', '.join(found)}" if found else ""


def _differing(base: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Say which conditions differ, and both values."""
    return "; ".join(
        f"{name}: {_short(base.get(name))} against {_short(other.get(name))}"
        for name in dict.fromkeys([*base, *other])
        if base.get(name) != other.get(name)
    )


def _short(value: object) -> str:
    """Write a value; of a hash only as much as tells it apart."""
    if value is None:
        return "none"
    text = str(value)
    return text[:HASH] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else text


def _environment(base: Sequence[Record], other: Sequence[Record]) -> list[Change]:
    ours, theirs = _facts(base), _facts(other)
    return [
        Change(name, ours.get(name, "none"), theirs.get(name, "none"))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]


def _facts(records: Iterable[Record]) -> dict[str, str]:
    """Return what the jobs of a run say of their machine and code, each value once."""
    found: dict[str, set[str]] = {}
    for record in records:
        facts = record.provenance.model_dump(exclude=NOT_OF_A_MACHINE)
        for name, value in (facts | record.provenance.libraries).items():
            key = f"{name} of {record.kind} jobs" if name in OF_A_JOB else name
            found.setdefault(key, set()).add(_short(value))
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def _specs(base: Sequence[Record], other: Sequence[Record]) -> dict[str, tuple[int, int]]:
    """Return how many of the jobs that both have differ in their specification, of how many."""
    before = {(record.kind, record.id): record.spec_hash for record in base}
    after = {(record.kind, record.id): record.spec_hash for record in other}
    both = [job for job in before if job in after]
    totals = Counter(kind for kind, _ in both)
    differing = Counter(job[0] for job in both if before[job] != after[job])
    return {kind: (differing[kind], totals[kind]) for kind in totals if differing[kind]}
