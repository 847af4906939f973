"""The job that embeds images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import RecordedJob

if TYPE_CHECKING:
    from benchmark.extractors import Extractor
    from benchmark.records.record import Cell
    from benchmark.storage.paths import Run


@dataclass(frozen=True, kw_only=True)
class FeaturesJob(RecordedJob):
    """Embed the images of a cell, of all controls of a data set, or of a data set.

    Attributes:
        extractor: extractor of the features.
        batch: number of images that are embedded together.
        device: device as the config names it.
        is_data: whether `name` is a data set.
        cell: cell of this name; None: it is no cell.
        shard: number of images of each shard, on which the features do not depend; None: one job
            embeds all images.
    """

    kind = "features"
    extractor: Extractor
    batch: int
    device: str
    is_data: bool
    cell: Cell | None
    shard: int | None

    def array(self, run: Run) -> Path:
        """Return the path of the features in a run, or in the folder of a shard."""
        return run.features(self.extractor.kind, self.name)

    def spec(self) -> dict[str, Any]:
        """Return all that the features depend on, except the images."""
        return {"name": self.name, "extractor": self.extractor.kind, "batch": self.batch}

    def modules(self) -> list[str]:
        """Return the stage, and the extractor."""
        return ["benchmark.stages.features", type(self.extractor).__module__]
