"""All keys of a config file, and the parts that these name."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import Field

from benchmark.config.jobs.base import Computing
from benchmark.config.jobs.weights import ReadyWeights
from benchmark.config.schema import (
    Classifier,
    ComputePrecision,
    Entry,
    Evaluation,
    Likelihood,
    Model,
    Network,
    Sampler,
    Schedule,
    Source,
)
from benchmark.config.training import Training
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import MOST_IMAGES, Name, Seed, StrictModel, UserText, text
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.description import Description
from benchmark.models.networks.unet import UNet


class Keys(StrictModel):
    """The keys of a config, and what follows from them for a single model, schedule or sampler."""

    run: Name = Field(description="The run's folder below results/", examples=["quickstart"])
    seed: Seed = Field(default=0, description="All randomness of training follows from it")
    against: UserText | None = Field(
        default=None,
        min_length=1,
        description="Run folder or bundle with which the target `compare` compares this one",
        examples=["results/before"],
    )
    device: Annotated[
        str,
        text(r"^(auto|cpu|cuda(:\d+)?)$", "auto, cpu, cuda or cuda:NUMBER of a GPU"),
    ] = Field(default="auto", description="Where networks run; auto: on a GPU where there is one")
    precision: ComputePrecision = Field(
        default="float32",
        description="What networks compute in: tf32 rounds the factors of products on a GPU; bf16 "
        "is automatic mixed precision",
    )
    compile: bool = Field(
        default=False, description="Compile networks with torch.compile, which takes minutes"
    )
    share_training: bool = Field(
        default=False, description="Train once what differs in name only, as DDPM and DDIM do"
    )
    sampling_batch: int = Field(
        default=64, ge=1, le=MOST_IMAGES, description="Images sampled together"
    )
    feature_batch: int = Field(
        default=64, ge=1, le=MOST_IMAGES, description="Images embedded together"
    )
    data: dict[Name, Source] = Field(min_length=1, description="Data sets, by name")
    schedules: dict[Name, Schedule] = Field(
        default={}, description="Schedules with other options than the defaults, by name"
    )
    samplers: dict[Name, Sampler] = Field(
        default={}, description="Samplers with other options than the defaults, by name"
    )
    networks: dict[Name, Network] = Field(default={}, description="What is trained, by name")
    training: dict[Name, Training] = Field(default={}, description="How it is trained, by name")
    classifiers: dict[Name, Classifier] = Field(
        default={}, description="Classifiers of noisy images, by name"
    )
    models: dict[Name, Model] = Field(min_length=1, description="Rows of the tables, by name")
    grid: list[Entry] = Field(min_length=1, description="What is sampled")
    evaluation: Evaluation
    likelihood: Likelihood | None = Field(
        default=None, description="Whose likelihood of images is measured; null: no network's"
    )

    def schedule(self, name: str) -> Schedule:
        """Return the schedule called `name`: one of this config, or a kind with its defaults."""
        return self.schedules.get(name) or SCHEDULES.make(name)

    def sampler(self, name: str) -> Sampler:
        """Return the sampler called `name`: one of this config, or a kind with its defaults."""
        return self.samplers.get(name) or SAMPLERS.make(name)

    @cached_property
    def described(self) -> dict[str, Description]:
        """The descriptions of ready weights, by model; weights on a hub have none yet."""
        found = {}
        for name, model in self.models.items():
            if model.weights is None:
                continue
            try:
                description = model.weights.describe()
            except (BenchmarkError, OSError) as error:
                raise ValueError(f"models.{name}.weights: {error}") from None
            if description is not None:
                found[name] = description
        return found

    def schedule_of(self, model: str, name: str) -> Schedule:
        """Return the schedule with which a model is sampled: that of ready weights, if it is known.

        Args:
            model: name of the model.
            name: name of the schedule in the grid.
        """
        weights = self.described.get(model)
        return self.schedule(name) if weights is None else weights.schedule

    def ready(self, model: str, schedule: str) -> ReadyWeights:
        """Return the ready weights of a model, with the data and the schedule that they must fit.

        Args:
            model: name of the model.
            schedule: name of the schedule in the grid.
        """
        spec = self.models[model]
        assert spec.weights is not None
        return ReadyWeights(
            key=f"models.{model}.weights",
            checkpoint=spec.weights,
            description=self.described.get(model),
            dataset=spec.data,
            resolution=self.data[spec.data].resolution,
            channels=self.data[spec.data].channels,
            classes=len(self.classes_of(spec.data)),
            schedule_name=schedule,
            schedule=self.schedule(schedule),
            is_stated=schedule in self.schedules,
        )

    def classes_of(self, dataset: str) -> tuple[str, ...]:
        """Return the names of the classes of a data set; none: it has no labels.

        Raises:
            ValueError: what tells them cannot be read; the message has the key.
        """
        try:
            return self.data[dataset].classes()
        except BenchmarkError as error:
            raise ValueError(f"data.{dataset}.{error}") from None

    def is_told(self, model: str) -> bool:
        """Tell whether the network of a model is told classes, as far as is known before a run."""
        trained, described = self.network_and_training(model), self.described.get(model)
        if trained is not None:
            return trained[0].classes is not None
        return described is not None and described.embeddings is not None

    def network_of(self, classifier: str) -> UNet:
        """Return the U-Net of a classifier, for as many channels as its images have."""
        spec = self.classifiers[classifier]
        network = self.networks[spec.network].of_channels(self.data[spec.data].channels)
        assert isinstance(network, UNet)
        return network

    @property
    def computing(self) -> Computing:
        """How networks compute."""
        return Computing(self.device, self.precision, self.compile)

    def missing_files(self) -> list[str]:
        """Return a line for each missing file of weights that must be there when the run starts."""
        missing = {
            name: model.weights.missing_file()
            for name, model in self.models.items()
            if model.weights is not None
        }
        return [
            f"models.{name}.weights.path: no such file {path}: put it there before a run"
            for name, path in missing.items()
            if path is not None
        ]

    def network_and_training(self, model: str) -> tuple[Network, Training] | None:
        """Return the network of a model and its training; None: its weights are ready.

        The network is for as many channels as the images of the model have.
        """
        spec = self.models[model]
        if spec.network is None or spec.training is None:
            return None
        network = self.networks[spec.network].of_channels(self.data[spec.data].channels)
        return network, self.training[spec.training]
