"""The job that trains a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Computing, RecordedJob, data_spec

if TYPE_CHECKING:
    from benchmark.config.training import Training
    from benchmark.data.sources.base import Source
    from benchmark.diffusion.schedules import Schedule
    from benchmark.models.networks import Network
    from benchmark.records.record import Cell


@dataclass(frozen=True, kw_only=True)
class TrainJob(RecordedJob):
    """Train the network `name`.

    Attributes:
        cell: one of the cells that are sampled with its weights.
        models: names of all models that are sampled with its weights, sorted.
        seed: seed of the run.
        schedule: schedule of its process.
        network: network that is trained.
        key: config key of the network.
        settings: options of the training.
        source: source of the training images.
        computing: how the network computes.
        kept: steps after which the averaged weights are kept, rising.
        keeps_raw: whether the weights of the last step are kept too, beside their average.
    """

    kind = "train"
    cell: Cell
    models: tuple[str, ...]
    seed: int
    schedule: Schedule
    network: Network
    key: str
    settings: Training
    source: Source
    computing: Computing
    kept: tuple[int, ...] = ()
    keeps_raw: bool = False

    def spec(self) -> dict[str, Any]:
        """Return all that the weights depend on."""
        unused = {"label_dropout"} if self.network.classes is None else set()
        return {
            "id": self.name,
            "seed": self.seed,
            **self.computing.spec(),
            "schedule": self.schedule.model_dump(mode="json"),
            "network": self.network.model_dump(mode="json"),
            "training": self.settings.model_dump(mode="json", exclude={"save_seconds", *unused}),
            **({"kept": list(self.kept)} if self.kept else {}),
            **({"keeps_raw": True} if self.keeps_raw else {}),
            **data_spec(self.source),
        }

    def modules(self) -> list[str]:
        """Return the stage, the loss, the network and the schedule."""
        return [
            "benchmark.stages.train",
            self.settings.loss_of(self.schedule.process()).__module__,
            *self.network.modules(self.key),
            type(self.schedule).__module__,
        ]
