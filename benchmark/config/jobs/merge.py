"""The job that makes one of the shards of a cell."""

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
    """Join shards to what one job would have made of a whole cell.

    Attributes:
        cell: of which they are.
        whole: the job that would have made it.
    """

    cell: Cell
    whole: SampleJob | FeaturesJob

    def compared(self) -> dict[str, Any]:
        """Return what the whole depends on."""
        return self.whole.compared()

    def files(self) -> Files | None:
        """Return the user's files that the whole depends on."""
        return self.whole.files()

    def modules(self) -> list[str]:
        """Return the stage, what draws the pictures of samples, and the modules of the whole."""
        pictures = ["benchmark.storage.pictures"] if self.whole.kind == "sample" else []
        return ["benchmark.stages.merge", *pictures, *self.whole.modules()]
