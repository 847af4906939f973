"""The table of the time and memory that each stage of a run took."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from benchmark.records.record import (
    Kind,
    Record,
)
from benchmark.report.captions import machines_line
from benchmark.report.formats import Column, Table, TableEntry

STAGES: dict[Kind, str] = {  # the verb that makes each kind of record
    "data": "prepare",
    "train": "train",
    "classifier": "classifier",
    "sample": "sample",
    "controls": "controls",
    "features": "features",
    "metrics": "evaluate",
    "retrieval": "retrieve",
    "answers": "answers",
    "likelihood": "likelihood",
}

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


def stages_table(records: Sequence[Record]) -> Table:
    """Return the time and memory that each stage of the run took."""
    caption = ["Wall time of the jobs of each stage, start-up included."]
    legend = [
        "Jobs of one stage may run beside each other. While trainings and samplings are timed, it "
        "is watched whether the machine is busy.",
        machines_line(record.provenance for record in records),
    ]
    kinds = {kind: [r for r in records if r.kind == kind] for kind in STAGES}
    lines = [_stage(kind, jobs) for kind, jobs in kinds.items() if jobs]
    return Table("stages", caption, STAGE, lines, legend)


def _stage(kind: Kind, records: Sequence[Record]) -> dict[str, TableEntry]:
    jobs = [job for record in records for job in record.ran]  # shards are jobs of their own
    seconds = [job.wall_seconds for job in jobs]
    watched = [_busy_jobs(record) for record in records if record.contention]
    memory = [record.timing.peak_memory_bytes for record in records if record.timing]
    return {
        "stage": STAGES[kind],
        "jobs": len(jobs),
        "seconds": math.fsum(seconds),
        "median_job_seconds": statistics.median(seconds),
        "longest_job_seconds": max(seconds),
        "busy_jobs": sum(watched) if watched else None,
        "threads": max(
            record.provenance.threads * record.provenance.processes for record in records
        ),
        "peak_memory_mb": round(max(memory) / 1e6) if memory else None,
    }


def _busy_jobs(record: Record) -> int:
    """Return how many of the jobs of a record ran on a busy machine."""
    if record.jobs is None:
        return int(bool(record.busy))
    return sum(bool(part.busy) for part in record.contention)
