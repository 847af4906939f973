"""The jobs that write tables, plots, the page and comparisons of the records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmark.config.jobs.base import Job


@dataclass(frozen=True, kw_only=True)
class ReportJob(Job):
    """Write one part of the report.

    Attributes:
        run: the name of the run, which stands in it.
        writers: the modules that write it.
    """

    run: str
    writers: tuple[str, ...]

    def compared(self) -> dict[str, Any]:
        """Return the name of the run."""
        return {"run": self.run}

    def modules(self) -> list[str]:
        """Return what writes it, and what reads a run or a bundle."""
        return [*self.writers, "benchmark.storage.run_files"]
