"""The job that gathers images which were made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Files, RecordedJob, data_spec

if TYPE_CHECKING:
    from benchmark.data.elsewhere import Elsewhere
    from benchmark.data.sources.base import Source
    from benchmark.records.record import Cell


@dataclass(frozen=True, kw_only=True)
class GatherJob(RecordedJob):
    """Gather the images of a cell.

    Attributes:
        cell: cell whose samples the images are.
        source: source of the data set with which they are compared, to whose size they are resized.
        made: the images.
        classes: names of the classes of the data set; none where the images have none.
    """

    kind = "sample"
    cell: Cell
    source: Source
    made: Elsewhere
    classes: tuple[str, ...]

    def spec(self) -> dict[str, Any]:
        """Return all that the images depend on, except files."""
        asked = {"seed": self.cell.seed, "samples": self.cell.samples, **data_spec(self.source)}
        if self.classes:
            asked["classes"] = list(self.classes)
        if self.made.packed is not None:
            told = {"label": self.made.labels, "image": self.made.image}
            asked |= {key: value for key, value in told.items() if value is not None}
        return asked

    def modules(self) -> list[str]:
        """Return the stage, the source that resizes images, and the format of packed ones."""
        used = [self.source, *filter(None, [self.made.packed])]
        return ["benchmark.stages.gather", *dict.fromkeys(type(one).__module__ for one in used)]

    def files(self) -> Files:
        """Return all files that are read."""
        return self.made.local_files()
