"""Compare runs cell by cell, and only figures that were measured in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import difference, with_interval
from benchmark.records.record import Record, read_records
from benchmark.records.rows import (
    FRECHET,
    TIME,
    TRAINING,
)
from benchmark.report.environment import (
    Change,
    changes,
    differing_specs,
    shortened,
    specified_otherwise,
)
from benchmark.report.measured import COPYING, Cells, Measured, figures_by_cell, missing_reasons
from benchmark.report.renaming import read_renames, renamed
from benchmark.report.thresholds import Threshold, chosen_metrics, known_metrics, read_thresholds

Mark = Literal["better", "worse", "same", "cannot tell", "not comparable", "missing", "new"]

MARKS: tuple[Mark, ...] = get_args(Mark)

COMPARED: tuple[Mark, ...] = ("better", "worse", "same", "cannot tell")

_UNCHANGED: tuple[Mark, ...] = ("same", "cannot tell")


@dataclass(frozen=True)
class Figure:
    """A metric of one cell in two runs.

    Attributes:
        cell: id of the cell.
        metric: key of the metric, as for `--metric`.
        base: value in the first run.
        other: value in the other run.
        difference: other − base, with an interval if both have one.
        mark: what the difference means.
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
class ComparedPair:
    """The comparison of one run with the first run.

    Attributes:
        base: label of the first run.
        other: label of the other.
        environment: what differs between the machines and the code of the two.
        specs: number of jobs whose specifications differ, and number of jobs that both have, by
            kind of job.
        specified: what differs in these specifications, and in how many jobs.
        missing: cells that only the first run has.
        new: cells that only the other has.
        untold: labels of runs with times for which it is not known whether the machine was busy.
        figures: figures of the cells that both have; `changed` leaves some out.
        counts: how many of all figures have each mark.
    """

    base: str
    other: str
    environment: list[Change]
    specs: dict[str, tuple[int, int]]
    specified: list[str]
    missing: list[str]
    new: list[str]
    untold: list[str]
    figures: list[Figure]
    counts: dict[Mark, int]


@dataclass(frozen=True)
class Comparison:
    """The comparison of several runs with the first run.

    Attributes:
        pairs: one for each run except the first.
        metrics: shown name of each compared metric, by its key.
        higher: keys of the metrics of which more is better.
        thresholds: threshold of each metric, by its key.
        status: exit status. 1: a figure is worse. 2: none is worse, but one is not comparable, or
            nothing could be compared in a pair, or nothing of a metric that the user named.
    """

    pairs: list[ComparedPair]
    metrics: dict[str, str]
    higher: list[str]
    thresholds: dict[str, Threshold]
    status: int


def compare_runs(
    runs: Sequence[Path], metrics: str = "", thresholds: str = "", renames: str = ""
) -> Comparison:
    """Compare each run with the first.

    Args:
        runs: folders or bundles, at least two.
        metrics: names of metrics with commas between them, as `fd,time`; empty: all.
        thresholds: largest differences that do not matter, as `fd=0.5,time=10%`.
        renames: what models of the first run are called in the others, as `old=new`.

    Raises:
        BenchmarkError: a run cannot be read or is named twice, or a metric or a threshold is
            unknown or malformed.
    """
    names = labels(runs)
    records = [read_records(run) for run in runs]
    records[0] = renamed(records[0], read_renames(renames), names[0])
    tables = [figures_by_cell(found) for found in records]
    measured = [item for table in tables for cell in table.values() for item in cell.items()]
    known = known_metrics(measured)
    asked = chosen_metrics(metrics, known)
    wanted = asked or frozenset(known.values())
    limits = read_thresholds(
        thresholds, {name: key for name, key in known.items() if key in wanted}
    )
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
    """Return the names of the runs: the last parts of their paths, or, if two are equal, the paths.

    Raises:
        BenchmarkError: there are fewer than two runs, or one of them is given twice.
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
    """Return a comparison without the figures that are marked `same` or `cannot tell`."""
    pairs = [
        replace(pair, figures=[f for f in pair.figures if f.mark not in _UNCHANGED])
        for pair in comparison.pairs
    ]
    return replace(comparison, pairs=pairs)


def _status(pairs: Iterable[ComparedPair], asked: frozenset[str]) -> int:
    figures = [pair.figures for pair in pairs]
    marks = {figure.mark for each in figures for figure in each}
    done = [{figure.metric for figure in each if figure.mark in COMPARED} for each in figures]
    if "worse" in marks:
        return 1
    return 2 if "not comparable" in marks or any(not d or asked - d for d in done) else 0


Side = tuple[str, list[Record], Cells]  # label, records and figures of a run


def _pair(
    first: Side, second: Side, metrics: Sequence[str], thresholds: Mapping[str, Threshold]
) -> ComparedPair:
    (base, records, cells), (other, others, new) = first, second
    figures = _figures(cells, new, metrics, thresholds)
    reasons = missing_reasons([*records, *others])
    figures = [
        replace(figure, why=reasons.get((figure.cell, figure.metric), ""))
        if figure.mark in ("missing", "new")
        else figure
        for figure in figures
    ]
    counts = Counter(figure.mark for figure in figures)
    return ComparedPair(
        base=base,
        other=other,
        environment=changes(records, others),
        specs=differing_specs(records, others),
        specified=specified_otherwise(records, others),
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


def _rank(key: str) -> tuple[bool, bool, bool, bool]:
    """Order metrics: the distance, other metrics, memorisation, time, time of training."""
    return (key == TRAINING, key == TIME, key in COPYING, key != FRECHET)


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
    """Return in which of two runs the machine was busy, and with what; empty: in none."""
    sides = ((base.busy, "first run"), (other.busy, "other run"))
    found = [f"{why} ({run})" for why, run in sides if why]
    return f"machine was busy: {', '.join(found)}" if found else ""


def _differing(base: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Return the conditions that differ, with both values; empty: none."""
    return "; ".join(
        f"{name}: {shortened(base.get(name))} against {shortened(other.get(name))}"
        for name in dict.fromkeys([*base, *other])
        if base.get(name) != other.get(name)
    )
