"""The job that gathers images which were made elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Files, RecordedJob, data_spec
from benchmark.data.labels import FOLDERS
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
        key: config key of their model.
        labels: `folders`, or the path of a CSV file, which tell their classes; None: nothing does.
        classes: names of the classes of the data set; none where the images have none.
    """

    kind = "sample"
    cell: Cell
    source: Source
    folder: Path
    key: str
    labels: str | None
    classes: tuple[str, ...]

    def spec(self) -> dict[str, Any]:
        """Return all that the images depend on, except files."""
        asked = {"seed": self.cell.seed, "samples": self.cell.samples, **data_spec(self.source)}
        return {**asked, "classes": list(self.classes)} if self.classes else asked

    def modules(self) -> list[str]:
        """Return the stage, and the source that resizes images."""
        return ["benchmark.stages.gather", type(self.source).__module__]

    def files(self) -> Files:
        """Return all images in the folder, and the file of their labels."""
        files = image_files(self.folder, f"{self.key}.images").files
        if self.labels not in (None, FOLDERS):
            files.append(os.path.relpath(str(self.labels), self.folder))
        return self.folder, files
