"""The job that joins the shards of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Files, Job

if TYPE_CHECKING:
    from benchmark.config.jobs.features import FeaturesJob
    from benchmark.config.jobs.sample import SampleJob
    from benchmark.records.record import Cell


@dataclass(frozen=True, kw_only=True)
class MergeJob(Job):
    """Join the shards of a cell to what one job for the whole cell would have made.

    Attributes:
        cell: cell of the shards.
        whole: job for the whole cell.
    """

    cell: Cell
    whole: SampleJob | FeaturesJob

    def compared(self) -> dict[str, Any]:
        """Return what the job for the whole cell depends on."""
        return self.whole.compared()

    def files(self) -> Files | None:
        """Return the user's files that the job for the whole cell reads."""
        return self.whole.files()

    def modules(self) -> list[str]:
        """Return the stage, the module of pictures, and the modules of the job for the whole."""
        pictures = ["benchmark.storage.pictures"] if self.whole.kind == "sample" else []
        return ["benchmark.stages.merge", *pictures, *self.whole.modules()]
