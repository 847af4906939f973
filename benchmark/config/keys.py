"""All keys of a config file, and the parts that they name."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import Field

from benchmark.config.schema import (
    Entry,
    Evaluation,
    Model,
    Network,
    Precision,
    Sampler,
    Schedule,
    Source,
    Training,
)
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import MOST_IMAGES, Name, Seed, Strict, UserText, text
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.description import Architecture, Description


class Keys(Strict):
    """What a config says, and what follows from it for a single model, schedule or sampler."""

    run: Name = Field(description="The run's folder below results/")
    seed: Seed = Field(default=0, description="All randomness of training follows from it")
    against: UserText | None = Field(
        default=None,
        min_length=1,
        description="Run folder or bundle with which `snakemake compare` compares this run",
    )
    device: Annotated[
        str,
        text(r"^(auto|cpu|cuda(:\d+)?)$", "auto, cpu, cuda or cuda:NUMBER of a GPU"),
    ] = "auto"
    precision: Precision = Field(
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
    data: dict[Name, Source] = Field(min_length=1)
    schedules: dict[Name, Schedule] = {}
    samplers: dict[Name, Sampler] = {}
    networks: dict[Name, Network] = {}
    training: dict[Name, Training] = {}
    models: dict[Name, Model] = Field(min_length=1)
    grid: list[Entry] = Field(min_length=1)
    evaluation: Evaluation

    def schedule(self, name: str) -> Schedule:
        """Return the schedule called `name`: one of this config, or a kind with its defaults."""
        return self.schedules.get(name) or SCHEDULES.make(name)

    def sampler(self, name: str) -> Sampler:
        """Return the sampler called `name`: one of this config, or a kind with its defaults."""
        return self.samplers.get(name) or SAMPLERS.make(name)

    @cached_property
    def described(self) -> dict[str, Description]:
        """What ready weights say of themselves, by model; of those on a hub nothing is known."""
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
        """Return the schedule of a model's samples: ready weights have their own, if it is known.

        Args:
            model: its name.
            name: of the schedule in the grid.
        """
        weights = self.described.get(model)
        return self.schedule(name) if weights is None else weights.schedule

    def check_weights(self, model: str, schedule: str, weights: Description | Architecture) -> None:
        """Refuse ready weights that are not for the data of a model or a schedule of the grid.

        Raises:
            BenchmarkError: with what they are for.
        """
        at = f"models.{model}.weights"
        data = self.models[model].data
        side = self.data[data].resolution
        if weights.resolution != side:
            raise BenchmarkError(
                f"{at}: made for images of {weights.resolution}×{weights.resolution}, but those of "
                f"data.{data} are {side}×{side}: choose other data"
            )
        stated = self.schedule(schedule)
        if weights.schedule.kind != stated.kind:
            raise BenchmarkError(
                f"{at}: trained with the schedule {weights.schedule.kind}, not {schedule}: "
                "correct the grid"
            )
        trained_with = weights.schedule.model_dump(exclude={"kind"})
        if schedule in self.schedules and stated.model_dump() != weights.schedule.model_dump():
            raise BenchmarkError(
                f"schedules.{schedule}: {at} were trained with {trained_with}: "
                f"give these, or name {weights.schedule.kind} in the grid and state none"
            )

    def missing_files(self) -> list[str]:
        """Return a line for each file of weights that a run needs, but reading and planning not."""
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

    def recipe(self, model: str) -> tuple[Network, Training] | None:
        """Return what is trained and how, or None where the model's weights are ready."""
        spec = self.models[model]
        if spec.network is None or spec.training is None:
            return None
        return self.networks[spec.network], self.training[spec.training]
