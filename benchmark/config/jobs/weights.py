"""Weights that came ready, and what they must be for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.diffusion.schedules import Schedule
    from benchmark.models.checkpoints import CheckpointFormat
    from benchmark.models.description import Architecture, Description, Loaded


@dataclass(frozen=True, kw_only=True)
class ReadyWeights:
    """The weights of a model, for one schedule of the grid.

    Attributes:
        key: of the weights in the config.
        checkpoint: where they lie, and in which format.
        description: what they say of themselves; None: they have to be fetched first.
        dataset: whose images samples are judged by.
        resolution: of these.
        schedule_name: in the grid.
        schedule: what the grid means by it.
        is_stated: whether the config states its options.
    """

    key: str
    checkpoint: CheckpointFormat
    description: Description | None
    dataset: str
    resolution: int
    schedule_name: str
    schedule: Schedule
    is_stated: bool

    def spec(self) -> dict[str, Any]:
        """Return what the config says of them, but for where their files lie."""
        return self.checkpoint.model_dump(mode="json", exclude=set(self.checkpoint.places))

    def modules(self) -> list[str]:
        """Return what reads them, and what makes their network."""
        # What a hub keeps is not read before the job.
        network = self.description.spec if self.description else None
        reader = type(self.checkpoint).__module__
        return [reader, *(network.modules(self.key) if network else [])]

    def load(self, cache: Path) -> Loaded:
        """Return the network with its weights, on the CPU.

        Raises:
            BenchmarkError: they cannot be loaded, or are for other data or another schedule.
        """
        loaded = self.checkpoint.load(cache)
        self.check(loaded)
        return loaded

    def check(self, found: Description | Architecture) -> None:
        """Refuse weights that are not for the data or the schedule of the grid.

        Raises:
            BenchmarkError: with what they are for.
        """
        if found.resolution != self.resolution:
            raise BenchmarkError(
                f"{self.key}: made for images of {found.resolution}×{found.resolution}, but those "
                f"of data.{self.dataset} are {self.resolution}×{self.resolution}: choose other data"
            )
        kind = found.schedule.kind
        if kind != self.schedule.kind:
            raise BenchmarkError(
                f"{self.key}: trained with the schedule {kind}, not {self.schedule_name}: "
                "correct the grid"
            )
        if self.is_stated and self.schedule.model_dump() != found.schedule.model_dump():
            raise BenchmarkError(
                f"schedules.{self.schedule_name}: {self.key} were trained with "
                f"{found.schedule.model_dump(exclude={'kind'})}: "
                f"give these, or name {kind} in the grid and state none"
            )
