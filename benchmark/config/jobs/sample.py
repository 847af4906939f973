"""The job that samples a cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.jobs.base import Computing, Files, RecordedJob, data_spec
from benchmark.config.tasks import modules_of

if TYPE_CHECKING:
    from benchmark.config.jobs.classifier import ClassifierJob
    from benchmark.config.jobs.train import TrainJob
    from benchmark.config.jobs.weights import ReadyWeights
    from benchmark.config.tasks import Task
    from benchmark.data.sources.base import Source
    from benchmark.diffusion.samplers import Sampler
    from benchmark.diffusion.schedules import Schedule
    from benchmark.records.record import Cell
    from benchmark.storage.paths import Run


@dataclass(frozen=True, kw_only=True)
class SampleJob(RecordedJob):
    """Sample a cell, or a shard of it.

    Attributes:
        cell: cell that is sampled.
        sampler: sampler with its options.
        schedule: schedule of the process; that of ready weights, if it is known.
        trained: training that makes the weights; None: they are ready.
        ready: ready weights; None: they are trained.
        batch: number of images that are sampled together.
        clip: whether estimates of x_0 are confined to the range of images; None: as the weights
            say.
        computing: how the network computes.
        classifier: training of the classifier whose gradient steers the samples; None: none.
        task: what is asked about held-out images; None: nothing.
        source: source of the data set, whose held-out images a task asks about.
        shard: number of images of each shard, on which the images do not depend; None: one job
            samples all images.
    """

    kind = "sample"
    cell: Cell
    sampler: Sampler
    schedule: Schedule
    trained: TrainJob | None = None
    ready: ReadyWeights | None = None
    batch: int
    clip: bool | None
    computing: Computing
    classifier: ClassifierJob | None = None
    task: Task | None = None
    source: Source
    shard: int | None

    @property
    def channels(self) -> int:
        """The number of channels of the images."""
        return self.source.channels

    def array(self, run: Run) -> Path:
        """Return the path of the images in a run, or in the folder of a shard."""
        return run.samples(self.name)

    def spec(self) -> dict[str, Any]:
        """Return all that the samples depend on, except files of weights."""
        return {
            "sampler": self.sampler.model_dump(mode="json"),
            "steps": self.cell.sampling.steps,
            "seed": self.cell.seed,
            "samples": self.cell.samples,
            "batch": self.batch,
            "clip": self.clip,
            **({} if self.cell.guidance is None else {"guidance": self.cell.guidance}),
            **({"classifier": self.classifier.spec()} if self.classifier else {}),
            **self.computing.spec(),
            **self.weights_spec(),
            **self._task_spec(),
        }

    def weights_spec(self) -> dict[str, Any]:
        """Return all that the network depends on, except files of weights."""
        if self.trained:
            state = self.cell.model_dump(include={"trained_steps", "raw"}, exclude_defaults=True)
            return {"train": self.trained.spec(), **state}
        assert self.ready
        return {
            "weights": self.ready.spec(),
            "schedule": self.schedule.model_dump(mode="json"),
            "resolution": self.cell.resolution,
        }

    def _task_spec(self) -> dict[str, Any]:
        """Return what is asked, and about which images; nothing for images out of nothing."""
        asked = self.cell.task
        if asked is None:
            return {}
        return {"task": asked.model_dump(mode="json"), "asked_about": data_spec(self.source)}

    def modules(self) -> list[str]:
        """Return the stage, the sampler, the schedule, and the modules of the network."""
        return [
            "benchmark.stages.sample",
            type(self.sampler).__module__,
            *self.network_modules(),
            *(self.classifier.parts() if self.classifier else []),
            *modules_of(self.task),
        ]

    def network_modules(self) -> list[str]:
        """Return the modules of the network and of the schedule."""
        if self.trained:
            network = self.trained.network.modules(self.trained.key)
        else:
            assert self.ready
            network = self.ready.modules()
        return [*network, type(self.schedule).__module__]

    def files(self) -> Files | None:
        """Return the files of ready weights on this machine; None: the weights are trained."""
        return self.ready.checkpoint.local_files() if self.ready else None
