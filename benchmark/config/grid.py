"""The grid of a config: its cells, trainings and controls."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from benchmark.config.jobs.subject import Subject
from benchmark.config.keys import Keys
from benchmark.config.schema import Entry
from benchmark.config.tasks import Task, of_cell
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import LONGEST, nearest_names, shown
from benchmark.data.controls import CONTROLS
from benchmark.records.record import Cell, Control, Sampling
from benchmark.storage.paths import ALL_CONTROLS, HELD_OUT

_V = TypeVar("_V")

MOST_STATES = 100  # of a training that are kept


class State(NamedTuple):
    """Which weights of a training are sampled.

    Attributes:
        steps: steps after which they were kept; None: once the training is finished.
        raw: whether they are those of the last step, in place of the moving average.
    """

    steps: int | None = None
    raw: bool = False

    @property
    def label(self) -> list[str]:
        """Its part of the id of a cell; none for the weights that a training ends with."""
        return ["raw"] if self.raw else [f"at{self.steps}"] if self.steps else []


class Grid(Keys):
    """The cells, trainings and controls that follow from the keys of a config."""

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells of the grid, in the order in which the config names them."""
        return [cell for cell, _, _ in self._grid]

    @cached_property
    def _grid(self) -> list[tuple[Cell, Entry, Task | None]]:
        return [
            (self._cell(entry, model, *point), entry, point[3])
            for entry in self.grid
            for model in entry.model
            for point in itertools.product(
                self._states(entry, model),
                entry.samplings,
                entry.scales,
                entry.tasks,
                entry.seed,
            )
        ]

    def _states(self, entry: Entry, model: str) -> list[State]:
        """Return which weights of a model's trainings are sampled.

        Raises:
            ValueError: a model has no such weights.
        """
        if "raw" in entry.weights:
            self._check_raw(entry, model)
        averaged = [State(steps) for steps in self._kept_steps(entry, model)]
        found = {"averaged": averaged, "raw": [State(raw=True)]}
        return [state for name in entry.weights for state in found[name]]

    def _check_raw(self, entry: Entry, model: str) -> None:
        trained = self.network_and_training(model)
        if trained is None or trained[1].ema is None:
            why = "averages none (ema: null)" if trained else "is not trained by this run"
            raise ValueError(
                f"grid: weights: raw: models.{model} {why}: leave it out, or give such models an "
                "entry of their own"
            )
        if entry.evaluate_every is not None and "averaged" not in entry.weights:
            raise ValueError(
                "grid: evaluate_every: the states that it keeps are averaged: add averaged to "
                "weights, or leave evaluate_every out"
            )

    def _kept_steps(self, entry: Entry, model: str) -> list[int | None]:
        """Return after how many steps a model's trainings are sampled; None: once finished.

        Raises:
            ValueError: states are to be kept of a model that is not trained, or too many or none.
        """
        every = entry.evaluate_every
        if every is None:
            return [None]
        trained = self.network_and_training(model)
        if trained is None:
            raise ValueError(
                f"grid: evaluate_every: models.{model} is not trained by this run: leave it out, "
                "or give such models an entry of their own"
            )
        total = trained[1].total_steps(self.data[self.models[model].data].train)
        states = range(every, total, every)
        if not 1 <= len(states) <= MOST_STATES:
            least = -(-total // (MOST_STATES + 1))
            raise ValueError(
                f"grid: evaluate_every: {every} keeps {len(states)} states of the {total} steps of "
                f"models.{model}: from {least} to {total - 1} would be right"
            )
        return [None, *states]

    @cached_property
    def cells_by_id(self) -> dict[str, Cell]:
        """All cells of the grid, by their ids."""
        return {cell.id: cell for cell in self.cells}

    @cached_property
    def _shards(self) -> dict[str, int | None]:
        return {cell.id: entry.shard for cell, entry, _ in self._grid}

    def cell(self, name: str) -> Cell:
        """Return the cell with this id; raise BenchmarkError with the nearest known id."""
        return look_up(name, self.cells_by_id, "cell")

    def shard(self, name: str) -> int | None:
        """Return how many images of a cell one job samples or embeds; None: all.

        The images do not depend on this number, so no specification has it.
        """
        return look_up(name, self._shards, "cell")

    @cached_property
    def _tasks(self) -> dict[str, Task | None]:
        return {cell.id: task for cell, _, task in self._grid}

    def task(self, name: str) -> Task | None:
        """Return the task of a cell; None: its images are made out of nothing."""
        return look_up(name, self._tasks, "cell")

    def _cell(
        self,
        entry: Entry,
        model: str,
        state: State,
        sampling: Sampling | None,
        guidance: float | None,
        task: Task | None,
        seed: int,
    ) -> Cell:
        spec = self.models[model]
        known = sampling._asdict() if sampling else {}
        trained = sampling if spec.weights is None else None
        scale = [] if guidance is None else [f"g{guidance:g}"]
        by = [entry.classifier] if entry.classifier else []
        asked = of_cell(task) if task else None
        label = [asked.label] if asked else []
        after = state.label
        parts = [model, *map(str, known.values()), *by, *scale, *label, *after, f"s{seed}"]
        name = "-".join(parts)
        if len(name) > LONGEST:
            raise ValueError(f"grid: {name:.40}… has {len(name)} characters: choose shorter names")
        return Cell(
            id=name,
            table=entry.table,
            family=spec.family,
            model=model,
            trained_as=self.training_id(model, trained.schedule) if trained else None,
            trained_steps=state.steps,
            raw=state.raw,
            weights="from-scratch" if trained else "pretrained" if sampling else "elsewhere",
            dataset=spec.data,
            resolution=self.data[spec.data].resolution,
            **known,
            guidance=guidance,
            classifier=entry.classifier,
            task=asked,
            seed=seed,
            samples=entry.samples,
        )

    @cached_property
    def trainings(self) -> dict[str, Cell]:
        """Every training that the grid needs, by its id, with one cell that uses it."""
        return {cell.trained_as: cell for cell in reversed(self.cells) if cell.trained_as}

    def kept_of(self, training: str) -> tuple[int, ...]:
        """Return after which steps the states of a training are kept, rising."""
        steps = {cell.trained_steps for cell in self.cells if cell.trained_as == training}
        return tuple(sorted(filter(None, steps)))

    def keeps_raw(self, training: str) -> bool:
        """Tell whether the weights of the last step of a training are sampled too."""
        return any(cell.raw for cell in self.cells if cell.trained_as == training)

    @cached_property
    def likelihoods(self) -> dict[str, list[Cell]]:
        """The cells of each network whose likelihood is measured, by MODEL-SCHEDULE."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            if cell.is_state or self.likelihood is None:
                continue
            if cell.schedule and cell.model in self.likelihood.model:
                found.setdefault(f"{cell.model}-{cell.schedule}", []).append(cell)
        return found

    @cached_property
    def guides(self) -> list[str]:
        """The classifiers that steer a cell, sorted."""
        return sorted({cell.guide for cell in self.cells if cell.guide})

    def training_id(self, model: str, schedule: str) -> str:
        """Return the name of the training that makes the weights of a model under a schedule.

        With `share_training`, models that differ in nothing but their name share one.
        """
        if not self.share_training:
            return f"{model}-{schedule}"
        spec = self.weights_of(model)
        same = [name for name in self.models if self.weights_of(name) == spec]
        return f"{'+'.join(sorted(same))}-{schedule}"

    def weights_of(self, model: str) -> dict[str, Any]:
        """Return the keys of a model that its weights depend on."""
        return self.models[model].model_dump(include={"data", "network", "training"})

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """All that is evaluated, by name: the cells, and the controls of their data sets."""
        cells = {
            cell.id: Subject(cell.id, cell.dataset, cell.samples, cell=cell, array=cell.id)
            for cell in self.cells
        }
        datasets = sorted({cell.dataset for cell in self.cells})
        controls = [subject for dataset in datasets for subject in self._controls(dataset)]
        return cells | {subject.name: subject for subject in controls}

    def _controls(self, dataset: str) -> Iterator[Subject]:
        """Yield the controls of a data set: the held-out images, and those that are made."""
        text = "real images that were never trained on, the floor at equal n"
        yield Subject(
            f"{HELD_OUT}-{dataset}",
            dataset,
            self.data[dataset].held_out,
            control=Control(kind=HELD_OUT, dataset=dataset, text=text),
        )
        count = self.control_count(dataset) if self.evaluation.controls else 0
        for number, kind in enumerate(self.evaluation.controls):
            made = CONTROLS.make(kind)
            yield Subject(
                f"{kind}-{dataset}",
                dataset,
                count,
                control=Control(kind=kind, dataset=dataset, text=made.text),
                made=made,
                array=self.controls_of(dataset),
                first=number * count,
            )

    def subjects_called(self, name: str) -> list[Subject]:
        """Return the cell or control called `name`, or all controls of DATA for `controls-DATA`.

        Raises:
            BenchmarkError: there is nothing of this name.
        """
        groups = {name: [subject] for name, subject in self.subjects.items()}
        for subject in self.subjects.values():
            if subject.control:
                groups.setdefault(self.controls_of(subject.dataset), []).append(subject)
        return look_up(name, groups, "cell or control")

    def controls_of(self, dataset: str) -> str:
        """Return the name of all controls of a data set together."""
        return f"{ALL_CONTROLS}-{dataset}"

    def control_count(self, dataset: str) -> int:
        """Return the number of images of a control: as many as the largest cell has.

        They are at most as many as the held-out images, and as half of the training images.
        """
        largest = max(cell.samples for cell in self.cells if cell.dataset == dataset)
        source = self.data[dataset]
        return min(largest, source.held_out, source.train // 2)

    def sizes(self, subject: Subject) -> list[int]:
        """Return the numbers of images, below its own, at which a subject is also measured.

        Held-out images are also measured at the number of images of every other subject.
        """
        sizes = set(self.evaluation.sizes)
        if subject.is_held_out:
            mine = [other for other in self.subjects.values() if other.dataset == subject.dataset]
            sizes |= {other.count for other in mine}
        return sorted(size for size in sizes if size < subject.count)

    def embedded(self, name: str) -> str:
        """Return `name` if a cell, a data set, or all controls of a data set have this name.

        Raises:
            BenchmarkError: there is nothing of this name.
        """
        return look_up(name, self._embedded, "cell, data set or controls-DATA")

    @cached_property
    def _embedded(self) -> dict[str, str]:
        controls = [self.controls_of(cell.dataset) for cell in self.cells]
        return {name: name for name in (*self.cells_by_id, *self.data, *controls)}


def look_up(name: str, found: Mapping[str, _V], noun: str) -> _V:
    """Return the value called `name`; raise BenchmarkError with the nearest known name."""
    if name not in found:
        raise BenchmarkError(f"no {noun} {shown(name)}: {nearest_names(name, found)}")
    return found[name]
