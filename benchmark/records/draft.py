"""The record of a job while the job runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.core.canonical import spec_hash
from benchmark.records.provenance import Stopwatch, Work, provenance
from benchmark.records.record import Kind, Record
from benchmark.storage.paths import Run


class Draft:
    """A record in progress. It is made when its job starts, and takes the time from then on.

    Args:
        kind: kind of the record.
        name: name of what the job makes.
        spec: all that the result depends on.
    """

    def __init__(self, kind: Kind, name: str, spec: Mapping[str, Any]) -> None:
        self.watch = Stopwatch()
        self.kind, self.name, self.spec = kind, name, dict(spec)

    def record(self, work: Work | None = None, **found: Any) -> Record:
        """Return the record of the job, which ends now.

        Args:
            work: how the job computed; None: on one thread.
            found: further fields of the record.
        """
        return Record(
            kind=self.kind,
            id=self.name,
            spec=self.spec,
            spec_hash=spec_hash(self.spec),
            provenance=provenance(self.watch, work or Work()),
            **found,
        )

    def write(self, run: Run, work: Work | None = None, **found: Any) -> Record:
        """Write the record of the job, which ends now, to its place in a run, and return it."""
        record = self.record(work, **found)
        record.write(run.record(self.kind, self.name))
        return record
