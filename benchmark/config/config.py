"""A config: what it says, checked, and the jobs of its run."""

from __future__ import annotations

from pydantic import model_validator

from benchmark.config.building import BUILDERS
from benchmark.config.consistency import check_config
from benchmark.config.grid import Grid
from benchmark.config.jobs.base import Job


class Config(Grid):
    """A run: what is trained, sampled and measured, and under which name it is kept."""

    @model_validator(mode="after")
    def _check(self) -> Config:
        check_config(self)
        return self

    def job(self, rule: str, name: str = "") -> Job:
        """Return a job of the run.

        Args:
            rule: of the workflow.
            name: of what it makes: a data set, a training, a cell, a control; empty: the report.

        Raises:
            BenchmarkError: it makes nothing of this name.
        """
        return BUILDERS[rule](self, name)
