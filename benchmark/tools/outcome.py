"""How far a run came, as its records and the logs of its other jobs say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from benchmark.config.expected import expected_records
from benchmark.config.loading import load_config, newest_config
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import Kind
from benchmark.report.crate import Outcome
from benchmark.report.stages_table import STAGES
from benchmark.storage.paths import ALL_CONTROLS, Run

# How the line of a log begins that tells why its job ended: a mistake of the user, or a fault.
_ERRORS = ("error: ", "Traceback (most recent call last)")


def outcome(run: Run) -> Outcome | None:
    """Return how far a run came; None: its config is not there or of another version."""
    try:
        expected = expected_records(load_config(newest_config(run)))
    except BenchmarkError:
        return None
    left = [job for job in expected if not run.record(*job).is_file()]
    failed = [job for job in left if any(map(_has_failed, _logs(run, *job)))]
    return Outcome(_named(left), _named(failed))


def _named(jobs: list[tuple[Kind, str]]) -> tuple[str, ...]:
    return tuple(f"{STAGES[kind]} {name}" for kind, name in jobs)


def _logs(run: Run, kind: Kind, name: str) -> Iterator[Path]:
    """Yield the logs of the jobs that make a record, alone or with others."""
    if kind == "sample":
        yield run.log("gather", name)
    yield run.log("merge", f"{kind}-{name}")
    shard = re.compile(rf"{re.escape(name)}(-\d+-\d+)?")
    for log in sorted((run.root / "logs" / STAGES[kind]).glob("*.log")):
        controls, _, dataset = log.stem.partition("-")
        of_all = controls == ALL_CONTROLS and name.endswith(f"-{dataset}")
        if of_all or shard.fullmatch(log.stem):
            yield log


def _has_failed(log: Path) -> bool:
    """Tell whether a log tells of an error; a job that begins anew writes it anew."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(_ERRORS) for line in lines)
