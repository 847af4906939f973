"""The jobs that write tables, plots, the page and comparisons from records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmark.config.jobs.base import Job


@dataclass(frozen=True, kw_only=True)
class ReportJob(Job):
    """Write one part of the report.

    Attributes:
        run: name of the run, which the report shows.
        writers: names of the modules that write it.
    """

    run: str
    writers: tuple[str, ...]

    def compared(self) -> dict[str, Any]:
        """Return the name of the run."""
        return {"run": self.run}

    def modules(self) -> list[str]:
        """Return the modules that write it, and the one that reads runs and bundles."""
        return [*self.writers, "benchmark.storage.run_files"]
