"""Ready weights, and the data and the schedule that they must fit."""

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
    """The ready weights of a model, for one schedule of the grid.

    Attributes:
        key: config key of the weights.
        checkpoint: where the weights are, and in which format.
        description: what is known of the weights; None: they must be downloaded first.
        dataset: data set with whose images samples are compared.
        resolution: resolution of these images.
        channels: number of their channels.
        classes: number of their classes; 0: they have no labels.
        schedule_name: name of the schedule in the grid.
        schedule: schedule of that name in the config.
        is_stated: whether the config states the options of the schedule.
    """

    key: str
    checkpoint: CheckpointFormat
    description: Description | None
    dataset: str
    resolution: int
    channels: int
    classes: int
    schedule_name: str
    schedule: Schedule
    is_stated: bool

    def spec(self) -> dict[str, Any]:
        """Return what the config says of the weights, except where their files are."""
        return self.checkpoint.model_dump(mode="json", exclude=set(self.checkpoint.places))

    def modules(self) -> list[str]:
        """Return the module that reads the weights, and those of their network."""
        # The network of weights on a hub is not known before the job.
        network = self.description.spec if self.description else None
        reader = type(self.checkpoint).__module__
        return [reader, *(network.modules(self.key) if network else [])]

    def load(self, cache: Path) -> Loaded:
        """Return the network with its weights, on the CPU.

        Raises:
            BenchmarkError: the weights cannot be loaded, or are for other data or another schedule.
        """
        loaded = self.checkpoint.load(cache)
        self.check(loaded)
        return loaded

    def check(self, found: Description | Architecture) -> None:
        """Refuse weights that are not for the data or the schedule of the grid.

        Raises:
            BenchmarkError: they are not; the message says what they are for.
        """
        if found.resolution != self.resolution:
            raise BenchmarkError(
                f"{self.key}: made for images of {found.resolution}×{found.resolution}, but those "
                f"of data.{self.dataset} are {self.resolution}×{self.resolution}: choose other data"
            )
        if found.channels != self.channels:
            raise BenchmarkError(
                f"{self.key}: makes images of {found.channels} channels, but those of "
                f"data.{self.dataset} have {self.channels}: give these channels: {found.channels}, "
                "or choose other data"
            )
        self._check_classes(found.embeddings)
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

    def _check_classes(self, embeddings: int | None) -> None:
        """Refuse a network that has learnt other classes than the data have, or any for none."""
        if embeddings is None:
            return
        if not self.classes:
            raise BenchmarkError(
                f"{self.key}: the network wants a class, and data.{self.dataset} has no labels: "
                "labelled data, or an unconditional network would do"
            )
        if embeddings - self.classes not in (0, 1):
            raise BenchmarkError(
                f"{self.key}: the network has learnt {embeddings} classes, and data.{self.dataset} "
                f"has {self.classes}: as many, or one more for no class, would be right"
            )
