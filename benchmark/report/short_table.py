"""The short table of a run: every setting on one line, the lowest distance first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmark.core.values import Value
from benchmark.records.published import Key, Published, find_published
from benchmark.records.rows import Row
from benchmark.report.captions import BUSY_LINE, data_line, few_lines, protocol_line
from benchmark.report.columns import GUIDANCE
from benchmark.report.faint import faint_lines
from benchmark.report.formats import BUSY, Column, Marked, Table, TableEntry
from benchmark.report.ranking import Entry, Ranking, rankings
from benchmark.report.results_table import marked

NAME = "summary"
_DATA = Column("data", "data", number=False)
_SCHEDULE = Column("schedule", "schedule", number=False)
_REPORT = Column("report_fid", "FID", group="report")
_COLUMNS = [
    Column("cell", None, number=False),
    _DATA,
    Column("model", "model", number=False),
    _SCHEDULE,
    Column("sampler", "sampler", number=False),
    Column("steps", "steps"),
    GUIDANCE,
    Column("samples", "n"),
    Column("distance", "distance", spans_powers=True),
    Column("times_floor", "× floor", spans_powers=True),
    Column("seconds_per_image", "s/image", spans_powers=True),
    _REPORT,
]


def short_table(rows: Sequence[Row], published: dict[Key, Published]) -> Table:
    """Return every setting of a run on one line; its seeds are one setting.

    All distances of one data set are of equally many images, where they were measured at them.
    """
    found = rankings(rows)
    lines = [_line(ranking, entry, published) for ranking in found for entry in ranking.entries]
    labels = list(dict.fromkeys(ranking.label for ranking in found if ranking.label))
    return Table(
        NAME,
        _caption(found, lines),
        _columns(lines, labels),
        lines,
        _legend(found, lines, rows),
    )


def _columns(lines: Sequence[dict[str, TableEntry]], labels: Sequence[str]) -> list[Column]:
    """Return the columns that tell something: of schedules only if they tell two lines apart."""
    names = [(line["data"], line["model"], line["sampler"], line["steps"]) for line in lines]
    idle = {
        _DATA.key: len({line["data"] for line in lines}) < 2,
        _SCHEDULE.key: len(set(names)) == len(names),
        GUIDANCE.key: all(line["guidance"] is None for line in lines),
        _REPORT.key: all(line["report_fid"] is None for line in lines),
    }
    heading = labels[0] if len(labels) == 1 else "distance"
    return [
        replace(column, heading=heading) if column.key == "distance" else column
        for column in _COLUMNS
        if not idle.get(column.key)
    ]


def _line(ranking: Ranking, entry: Entry, published: dict[Key, Published]) -> dict[str, TableEntry]:
    cell, seconds = entry.cell, entry.seconds
    time = Value(value=seconds.value) if seconds else None
    figures = find_published(cell, published)
    return {
        "cell": cell.id,
        "data": ranking.data,
        "model": cell.model,
        "schedule": cell.schedule,
        "sampler": cell.sampler,
        "steps": cell.steps,
        "guidance": cell.guidance,
        "samples": entry.n,
        "distance": marked(entry.seeds[0], entry.distance, entry.n) if entry.distance else None,
        "times_floor": entry.times_floor,
        "seconds_per_image": Marked(time, BUSY) if time and entry.busy else time,
        "report_fid": (figures.fid or None) if figures else None,
    }


def _caption(found: Sequence[Ranking], lines: Sequence[dict[str, TableEntry]]) -> list[str]:
    return [
        data_line(ranking.data for ranking in found),
        "Lower distances are better; the best come first.",
        "[a, b] is a 95 % interval. × floor: over the distance of as many held-out images, so 1 is "
        "as good as real ones.",
    ][: 2 + bool(lines)]


def _legend(
    found: Sequence[Ranking], lines: Sequence[dict[str, TableEntry]], rows: Sequence[Row]
) -> list[str]:
    """Return what n, marks and the report's figures mean, where they occur."""
    told = [protocol_line(row.protocol) for row in rows if row.protocol and row.cell]
    told += few_lines((e.n, e.seeds[0].few) for r in found for e in r.entries if e.distance)
    if any(ranking.others for ranking in found):
        told.append(
            "Rows of another n than the first were not measured at it: they come last, and their "
            "distances compare with none above."
        )
    if any(entry.busy for ranking in found for entry in ranking.entries):
        told.append(BUSY_LINE)
    told += faint_lines(rows)
    if any(line["report_fid"] for line in lines):
        told.append(
            "Report FID: that of the published row of equal family, schedule, sampler and steps; "
            "it is of other images and another network."
        )
    return list(dict.fromkeys(told))
