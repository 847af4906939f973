"""The job that makes the controls of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import RecordedJob, data_spec

if TYPE_CHECKING:
    from benchmark.data.controls import MadeControl
    from benchmark.data.sources.base import Source


@dataclass(frozen=True, kw_only=True)
class ControlsJob(RecordedJob):
    """Make all controls of a data set, in one array called `name`.

    Attributes:
        dataset: name of the data set.
        source: source of its images.
        controls: controls in the order of the array.
        count: number of images of each control.
        seed: seed of the run.
    """

    kind = "controls"
    dataset: str
    source: Source
    controls: tuple[MadeControl, ...]
    count: int
    seed: int

    @property
    def kinds(self) -> list[str]:
        """The names of the controls."""
        return [control.kind for control in self.controls]

    def spec(self) -> dict[str, Any]:
        """Return all that the controls depend on."""
        return {
            "controls": self.kinds,
            "count": self.count,
            "seed": self.seed,
            **data_spec(self.source),
        }

    def modules(self) -> list[str]:
        """Return the stage, and the controls."""
        made = [type(control).__module__ for control in self.controls]
        return ["benchmark.stages.controls", *made]
