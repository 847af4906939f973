"""A config: the grid of cells that it names, and what each job depends on."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from benchmark.config.consistency import check_config
from benchmark.config.grid import Grid, find
from benchmark.config.schema import Subject
from benchmark.core.errors import BenchmarkError


class Config(Grid):
    """A run: what is trained, sampled and measured, and under which name it is kept."""

    @model_validator(mode="after")
    def _check(self) -> Config:
        check_config(self)
        return self

    def data_spec(self, name: str) -> dict[str, Any]:
        """Return all that the prepared images of a data set depend on, besides files.

        Where files lie changes nothing: what they hold is told by `benchmark.storage.contents`.
        """
        source = find(name, self.data, "data set")
        return {"data": source.model_dump(mode="json", exclude=set(source.places))}

    def train_spec(self, name: str) -> dict[str, Any]:
        """Return all that the weights of a training depend on."""
        cell = find(name, self.trainings, "training")
        recipe = self.recipe(cell.model)
        assert recipe is not None
        network, training = recipe
        return {
            "id": name,
            "seed": self.seed,
            **self._arithmetic(),
            "schedule": self.schedule(cell.sampling.schedule).model_dump(mode="json"),
            "network": network.model_dump(mode="json"),
            "training": training.model_dump(mode="json", exclude={"save_seconds"}),
            **self.data_spec(cell.dataset),
        }

    def sample_spec(self, name: str) -> dict[str, Any]:
        """Return all that the samples of a cell depend on, besides files of weights."""
        cell = self.cell(name)
        model = self.models[cell.model]
        schedule, sampler, steps = cell.sampling
        return {
            "sampler": self.sampler(sampler).model_dump(mode="json"),
            "steps": steps,
            "seed": cell.seed,
            "samples": cell.samples,
            "batch": self.sampling_batch,
            "clip": model.clip,
            **self._arithmetic(),
            **(
                {"train": self.train_spec(cell.trained_as)}
                if cell.trained_as
                else {
                    "weights": self._ready(cell.model),
                    "schedule": self.schedule_of(cell.model, schedule).model_dump(mode="json"),
                    "resolution": cell.resolution,
                }
            ),
        }

    def _ready(self, model: str) -> dict[str, Any]:
        """Return what is said of ready weights, but for where their files lie."""
        weights = self.models[model].weights
        assert weights is not None
        return weights.model_dump(mode="json", exclude=set(weights.places))

    def _arithmetic(self) -> dict[str, Any]:
        """Return what the last bits of a network's output depend on."""
        return {"precision": self.precision, "compile": self.compile}

    def gather_spec(self, name: str) -> dict[str, Any]:
        """Return all that the images of a cell depend on that were made elsewhere, besides files.

        Raises:
            BenchmarkError: the cell is sampled from a network.
        """
        cell = self.cell(name)
        if self.models[cell.model].images is None:
            raise BenchmarkError(f"{name}: models.{cell.model} has no images: it is sampled")
        return {
            "seed": cell.seed,
            "samples": cell.samples,
            **self.data_spec(cell.dataset),
        }

    def features_spec(self, name: str) -> dict[str, Any]:
        """Return what features depend on, besides the images of `name`.

        Raises:
            BenchmarkError: nothing of this name is embedded.
        """
        return {
            "name": self.embedded(name),
            "extractor": self.evaluation.extractor,
            "batch": self.feature_batch,
        }

    def controls_spec(self, dataset: str) -> dict[str, Any]:
        """Return all that the controls of a data set depend on."""
        data = self.data_spec(dataset)
        return {
            "controls": self.evaluation.controls,
            "count": self.control_count(dataset),
            "seed": self.seed,
            **data,
        }

    def evaluate_spec(self, subject: Subject) -> dict[str, Any]:
        """Return all that the figures of a subject depend on, besides its images."""
        included = {"extractor", "metrics", "few"}
        return {
            "subject": subject.name,
            "sizes": self.sizes(subject),
            "evaluation": self.evaluation.model_dump(mode="json", include=included),
        }
