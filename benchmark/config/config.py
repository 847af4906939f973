"""A config: the grid of cells that it names, and what each job depends on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import Field, model_validator

from benchmark.config.checks import (
    LEAST_IMAGES,
    check_data,
    check_loss,
    check_plan,
    known,
)
from benchmark.config.schema import (
    Entry,
    Evaluation,
    Model,
    Network,
    Precision,
    Sampler,
    Schedule,
    Source,
    Subject,
    Training,
)
from benchmark.core.errors import BenchmarkError
from benchmark.core.reserved import COLUMNS, TABLES
from benchmark.core.strict import (
    LONGEST,
    MOST_IMAGES,
    Name,
    Seed,
    Strict,
    UserText,
    nearest_names,
    shown,
    text,
)
from benchmark.data.controls import CONTROLS
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import Sizes
from benchmark.models.description import Architecture, Description
from benchmark.records.record import Cell, Control, Sampling
from benchmark.storage.paths import CONTROLS as ALL_CONTROLS
from benchmark.storage.paths import HELD_OUT

_V = TypeVar("_V")


class Config(Strict):
    """A run: what is trained, sampled and measured, and under which name it is kept."""

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

    @model_validator(mode="after")
    def _check(self) -> Config:
        for name, source in self.data.items():
            check_data(f"data.{name}", source)
        for name, model in self.models.items():
            at = f"models.{name}"
            known(f"{at}.data", model.data, self.data)
            if model.network is None or model.training is None:
                continue
            known(f"{at}.network", model.network, self.networks)
            known(f"{at}.training", model.training, self.training)
            network, source = self.networks[model.network], self.data[model.data]
            network.check_fits(f"{at}.network", source.resolution)
        known("evaluation.extractor", self.evaluation.extractor, EXTRACTORS.classes)
        for index, entry in enumerate(self.grid):
            self._check_entry(f"grid.{index}", entry)
        self._check_cells()
        return self

    def _check_entry(self, at: str, entry: Entry) -> None:
        if entry.table in TABLES:
            raise ValueError(
                f"{at}.table: every run has a table {entry.table}: choose another name"
            )
        for model in entry.model:
            known(f"{at}.model", model, self.models)
            self._check_keys(at, entry, model)
        for schedule, sampler in itertools.product(entry.schedule, entry.sampler):
            known(f"{at}.schedule", schedule, self.schedules, SCHEDULES.names())
            known(f"{at}.sampler", sampler, self.samplers, SAMPLERS.names())
        for model, schedule in itertools.product(entry.model, entry.schedule):
            self._check_learns(model, schedule)
            for sampler in entry.sampler:
                sampled_with = self.schedule_of(model, schedule)
                described = self.described.get(model)
                check_plan(sampled_with, self.sampler(sampler), entry.steps, at, described)

    def _check_keys(self, at: str, entry: Entry, model: str) -> None:
        """Refuse samples of unknown making, and a making for images that are there already."""
        ready = self.models[model].images is not None
        for key in ("schedule", "sampler", "steps"):
            if not getattr(entry, key) and not ready:
                raise ValueError(f"{at}.{key}: is missing: only models with images go without")
            if getattr(entry, key) and ready:
                raise ValueError(
                    f"{at}.{key}: models.{model}.images were made elsewhere: leave it out, and "
                    "give other models an entry of their own"
                )
        if entry.shard and ready:
            raise ValueError(
                f"{at}.shard: models.{model}.images are gathered, not sampled: leave it out"
            )

    def _check_learns(self, model: str, schedule: str) -> None:
        recipe = self.recipe(model)
        if recipe is None:
            self._check_described(model, schedule)
            return
        process = self.schedule(schedule).process()
        network, training = recipe
        network.check_process(f"networks.{self.models[model].network}", schedule, process)
        check_loss(f"training.{self.models[model].training}", training, schedule, process)

    def _check_described(self, model: str, schedule: str) -> None:
        weights = self.described.get(model)
        if weights is None:
            return
        try:
            self.check_weights(model, schedule, weights)
        except BenchmarkError as error:
            raise ValueError(str(error)) from None
        at, spec = f"models.{model}.weights", self.models[model]
        if weights.spec is not None:
            weights.spec.check_fits(at, self.data[spec.data].resolution)
        assert spec.weights is not None
        spec.weights.check_process(at, weights, schedule, weights.schedule.process())

    def _check_cells(self) -> None:
        seen: set[str] = set()
        trained: dict[str, dict[str, Any]] = {}
        for cell in self.cells:
            spec = {"model": self._nameless(cell.model), "schedule": cell.schedule}
            if cell.trained_as and trained.setdefault(cell.trained_as, spec) != spec:
                raise ValueError(
                    f"grid: two trainings are both called {cell.trained_as}: rename a model"
                )
            if cell.id in seen:
                raise ValueError(f"grid: the cell {cell.id} is named twice: keep one of the two")
            seen.add(cell.id)
            images = self.data[cell.dataset].train
            if self.evaluation.neighbours > images:
                raise ValueError(
                    f"evaluation.neighbours: {self.evaluation.neighbours} neighbours cannot be "
                    f"found among the {images} training images of data.{cell.dataset}"
                )
        self._check_subjects()
        self._check_case()

    def _check_case(self) -> None:
        """Refuse names of files that differ in case alone: some file systems take them for one."""
        tables = dict.fromkeys(entry.table for entry in self.grid)
        ids = [*self.subjects, *map(self.controls_of, self.data), *self.data]
        kinds: dict[str, Iterable[str]] = {
            "data": self.data,
            "models": self.models,
            "networks": self.networks,
            "training": self.training,
            "schedules": self.schedules,
            "samplers": self.samplers,
            "evaluation.metrics": [*self.evaluation.metrics, *COLUMNS],
            "grid: table": [*tables, *TABLES],
            "grid: training": self.trainings,
            "grid: cell, data set or control": ids,
        }
        for at, names in kinds.items():
            seen: dict[str, str] = {}
            for name in names:
                other = seen.setdefault(name.casefold(), name)
                if other != name:
                    raise ValueError(
                        f"{at}: {name} and {other} differ in case alone, which not every file "
                        "system tells: rename one"
                    )

    def _check_subjects(self) -> None:
        kinds = [HELD_OUT, ALL_CONTROLS, *self.evaluation.controls]
        controls = {f"{kind}-{data}" for kind in kinds for data in self.data}
        for name in sorted(controls.intersection(self.data)):
            raise ValueError(f"data.{name}: this is the name of a control: rename it")
        for cell in self.cells:
            if cell.id in self.data or cell.id in controls:
                raise ValueError(
                    f"grid: the cell {cell.id} has the name of a data set or a control: rename it"
                )
        most = max(cell.samples for cell in self.cells)
        if self.evaluation.sizes and max(self.evaluation.sizes) > most:
            raise ValueError(f"evaluation.sizes: no cell has more than {most} samples")
        for data in {cell.dataset for cell in self.cells}:
            if self.evaluation.controls and self.control_count(data) < LEAST_IMAGES:
                raise ValueError(
                    f"evaluation.controls: data.{data} has too few training images: at least "
                    f"{2 * LEAST_IMAGES}, or controls: []"
                )
        self._check_metrics()

    def _check_metrics(self) -> None:
        """Refuse metrics for which a cell or a control has too few images."""
        dimension = EXTRACTORS.make(self.evaluation.extractor).dimension
        seen: set[Sizes] = set()
        for subject in self.subjects.values():
            sizes = Sizes(self.count(subject), self.data[subject.dataset].train, dimension)
            if sizes in seen:
                continue
            seen.add(sizes)
            for name, metric in self.evaluation.metrics.items():
                try:
                    metric.check_sizes(sizes)
                except BenchmarkError as error:
                    raise ValueError(
                        f"evaluation.metrics.{name}: {subject.name}: {error}; change its options, "
                        "the numbers of images, or leave the metric out"
                    ) from None

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

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells of the grid, in the order in which the config names them."""
        return [cell for cell, _ in self._grid]

    @cached_property
    def _grid(self) -> list[tuple[Cell, Entry]]:
        return [
            (self._cell(entry, *point), entry)
            for entry in self.grid
            for point in itertools.product(entry.model, entry.samplings, entry.seed)
        ]

    def shard(self, name: str) -> int | None:
        """Return how many images of a cell one job samples, or embeds; None: all.

        The images do not depend on it, so that it is in no specification.
        """
        cell = self.cell(name)
        return next(entry.shard for other, entry in self._grid if other == cell)

    def _cell(self, entry: Entry, model: str, sampling: Sampling | None, seed: int) -> Cell:
        spec = self.models[model]
        known = sampling._asdict() if sampling else {}
        trained = sampling if spec.weights is None else None
        name = "-".join([model, *map(str, known.values()), f"s{seed}"])
        if len(name) > LONGEST:
            raise ValueError(f"grid: {name:.40}… has {len(name)} characters: choose shorter names")
        return Cell(
            id=name,
            table=entry.table,
            family=spec.family,
            model=model,
            trained_as=self.training_id(model, trained.schedule) if trained else None,
            weights="from-scratch" if trained else "pretrained" if sampling else "elsewhere",
            dataset=spec.data,
            resolution=self.data[spec.data].resolution,
            **known,
            seed=seed,
            samples=entry.samples,
        )

    def training_id(self, model: str, schedule: str) -> str:
        """Return the name of the training that makes the weights of a model under a schedule.

        With `share_training`, models that differ in nothing but their name share one.
        """
        if not self.share_training:
            return f"{model}-{schedule}"
        spec = self._nameless(model)
        same = [name for name in self.models if self._nameless(name) == spec]
        return f"{'+'.join(sorted(same))}-{schedule}"

    def _nameless(self, model: str) -> dict[str, Any]:
        """Return what the weights of a model depend on."""
        return self.models[model].model_dump(include={"data", "network", "training"})

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """All that is judged, by name: the cells, and every control of the data that they use."""
        texts = {HELD_OUT: "real images that were never trained on, the floor at equal n"}
        texts |= {kind: CONTROLS.make(kind).text for kind in self.evaluation.controls}
        cells = {cell.id: Subject(cell.id, cell.dataset, cell=cell) for cell in self.cells}
        return cells | {
            f"{kind}-{data}": Subject(
                f"{kind}-{data}", data, control=Control(kind=kind, dataset=data, text=text)
            )
            for data in sorted({cell.dataset for cell in self.cells})
            for kind, text in texts.items()
        }

    def judged(self, name: str) -> list[Subject]:
        """Return the cell or the control called `name`, or all for `controls-` and a data set.

        Raises:
            BenchmarkError: it is none of them.
        """
        groups = {name: [subject] for name, subject in self.subjects.items()}
        for subject in self.subjects.values():
            if subject.control:
                groups.setdefault(self.controls_of(subject.dataset), []).append(subject)
        return _find(name, groups, "cell or control")

    def controls_of(self, dataset: str) -> str:
        """Return the name of all controls of a data set together."""
        return f"{ALL_CONTROLS}-{dataset}"

    def control_count(self, dataset: str) -> int:
        """Return the number of images of a control: as many as the largest cell has.

        They are no more than there are held-out images, and than half of the training images.
        """
        largest = max(cell.samples for cell in self.cells if cell.dataset == dataset)
        source = self.data[dataset]
        return min(largest, source.held_out, source.train // 2)

    def count(self, subject: Subject) -> int:
        """Return the number of images of a subject."""
        if subject.cell:
            return subject.cell.samples
        assert subject.control
        if subject.control.kind == HELD_OUT:
            return self.data[subject.dataset].held_out
        return self.control_count(subject.dataset)

    def sizes(self, subject: Subject) -> list[int]:
        """Return the numbers of images, fewer than all, at which a subject is measured too.

        Held-out images are measured at the size of every other subject.
        """
        sizes = set(self.evaluation.sizes)
        if subject.control and subject.control.kind == HELD_OUT:
            mine = [other for other in self.subjects.values() if other.dataset == subject.dataset]
            sizes |= {self.count(other) for other in mine}
        return sorted(size for size in sizes if size < self.count(subject))

    def cell(self, name: str) -> Cell:
        """Return the cell with this id; raise BenchmarkError with the nearest right id."""
        return _find(name, {cell.id: cell for cell in self.cells}, "cell")

    @cached_property
    def trainings(self) -> dict[str, Cell]:
        """Every training that the grid needs, by its id, with one cell that uses it."""
        return {cell.trained_as: cell for cell in reversed(self.cells) if cell.trained_as}

    def data_spec(self, name: str) -> dict[str, Any]:
        """Return all that the prepared images of a data set depend on, besides files.

        Where files lie changes nothing: what they hold is told by `benchmark.storage.contents`.
        """
        source = _find(name, self.data, "data set")
        return {"data": source.model_dump(mode="json", exclude=set(source.places))}

    def train_spec(self, name: str) -> dict[str, Any]:
        """Return all that the weights of a training depend on."""
        cell = _find(name, self.trainings, "training")
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

    def embedded(self, name: str) -> str:
        """Return `name`, which is that of a cell, of a data set, or of all controls of one.

        Raises:
            BenchmarkError: it is none of them.
        """
        controls = [self.controls_of(cell.dataset) for cell in self.cells]
        known = [*(cell.id for cell in self.cells), *self.data, *controls]
        return _find(name, {name: name for name in known}, "cell, data set or controls-DATA")

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


def _find(name: str, found: Mapping[str, _V], noun: str) -> _V:
    if name not in found:
        raise BenchmarkError(f"no {noun} {shown(name)}: {nearest_names(name, found)}")
    return found[name]
