"""The job that trains a classifier of noisy images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Computing, RecordedJob, data_spec
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.losses import LOSSES

if TYPE_CHECKING:
    from benchmark.config.training import Training
    from benchmark.data.sources.base import Source
    from benchmark.diffusion.schedules import Schedule
    from benchmark.models.modules.classifier import ClassifierModule
    from benchmark.models.networks.unet import UNet
    from benchmark.storage.paths import Run


@dataclass(frozen=True, kw_only=True)
class ClassifierJob(RecordedJob):
    """Train the classifier `name`.

    Attributes:
        dataset: name of the data set whose classes it learns.
        source: source of the training images.
        classes: number of the classes.
        seed: seed of the run.
        schedule_name: name of the schedule in the config.
        schedule: schedule of the process that makes the images noisy.
        network: the U-Net whose way down it is.
        settings: options of the training.
        computing: how the network computes.
    """

    kind = "classifier"
    dataset: str
    source: Source
    classes: int
    seed: int
    schedule_name: str
    schedule: Schedule
    network: UNet
    settings: Training
    computing: Computing

    def spec(self) -> dict[str, Any]:
        """Return all that the weights depend on."""
        return {
            "id": self.name,
            "seed": self.seed,
            **self.computing.spec(),
            "schedule": self.schedule.model_dump(mode="json"),
            "network": self.network.model_dump(mode="json"),
            "training": self.settings.model_dump(
                mode="json", exclude={"save_seconds", "label_dropout"}
            ),
            **data_spec(self.source),
        }

    def modules(self) -> list[str]:
        """Return the stage, what decides the times, the network and the schedule."""
        return [
            "benchmark.stages.classifier",
            LOSSES.get(self.schedule.process().loss).__module__,
            *self.parts(),
            type(self.schedule).__module__,
        ]

    def build(self) -> ClassifierModule:
        """Return the classifier with random weights, drawn from torch's global generator."""
        from benchmark.models.modules.classifier import ClassifierModule

        return ClassifierModule(self.network, self.classes)

    def load(self, run: Run) -> ClassifierModule:
        """Return the classifier that this job has trained in a run, on the CPU, to be evaluated.

        Raises:
            BenchmarkError: its weights are missing, damaged, or of another job.
        """
        import torch

        from benchmark.models.weights import load_weights

        path = run.weights(self.name)
        weights, spec = load_weights(path)
        if spec != self.spec():
            raise BenchmarkError(f"{path}: not of this config: train the classifier again")
        with torch.device("meta"):
            network = self.build()
        network.load_state_dict(weights, assign=True)
        return network.eval().requires_grad_(False)

    def parts(self) -> list[str]:
        """Return the modules that define the network."""
        return ["benchmark.models.modules.classifier", type(self.network).__module__]
