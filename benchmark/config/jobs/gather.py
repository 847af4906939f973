"""The job that gathers images which were made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Files, RecordedJob, data_spec
from benchmark.data.listing import image_files

if TYPE_CHECKING:
    from benchmark.data.sources.base import Source
    from benchmark.records.record import Cell


@dataclass(frozen=True, kw_only=True)
class GatherJob(RecordedJob):
    """Gather the images of a cell.

    Attributes:
        cell: cell whose samples the images are.
        source: source of the data set with which they are compared, to whose size they are resized.
        folder: folder of the images.
        key: config key of the folder.
    """

    kind = "sample"
    cell: Cell
    source: Source
    folder: Path
    key: str

    def spec(self) -> dict[str, Any]:
        """Return all that the images depend on, except files."""
        return {"seed": self.cell.seed, "samples": self.cell.samples, **data_spec(self.source)}

    def modules(self) -> list[str]:
        """Return the stage, and the source that resizes images."""
        return ["benchmark.stages.gather", type(self.source).__module__]

    def files(self) -> Files:
        """Return all images in the folder."""
        return self.folder, image_files(self.folder, self.key).files
