"""The config of a run, which is checked, and makes the jobs of the run."""

from __future__ import annotations

from pydantic import model_validator

from benchmark.config.building import BUILDERS
from benchmark.config.consistency import check_config
from benchmark.config.grid import Grid
from benchmark.config.jobs.base import Job


class Config(Grid):
    """The config of a run: what is trained, sampled and measured, and the name of the run."""

    @model_validator(mode="after")
    def _check(self) -> Config:
        check_config(self)
        return self

    def job(self, rule: str, name: str = "") -> Job:
        """Return a job of the run.

        Args:
            rule: name of the rule of the workflow.
            name: name of what the job makes, such as a data set or a cell; empty: the report.

        Raises:
            BenchmarkError: the rule makes nothing of this name.
        """
        return BUILDERS[rule](self, name)
