"""The vocabulary of a config file, and the grid of cells that it names."""

from __future__ import annotations

import codecs
import functools
import itertools
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from benchmark.core.canonical import canonical_json
from benchmark.core.errors import BenchmarkError
from benchmark.core.registry import Options, Registry
from benchmark.core.reserved import COLUMNS, TABLES
from benchmark.core.strict import (
    LONGEST,
    MOST_IMAGES,
    Name,
    Seed,
    Strict,
    UserPath,
    UserText,
    explain,
    nearest,
    shown,
    text,
)
from benchmark.core.yaml_text import read_yaml
from benchmark.data.base import SourceBase
from benchmark.data.controls import CONTROLS
from benchmark.data.sources import Source
from benchmark.diffusion.processes import SDE, DiscreteVE, Prediction, Process
from benchmark.diffusion.samplers import SAMPLERS, plan
from benchmark.diffusion.schedules import SCHEDULES, make_process
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import METRICS, Sizes, check_sizes, takes_logits
from benchmark.models.description import Description, describe, missing_file
from benchmark.models.specs import (
    CustomSpec,
    DiffusersCheckpoint,
    Network,
    Pretrained,
    RefineNetSpec,
)
from benchmark.records.record import Cell, Control, Sampling
from benchmark.storage.paths import CONTROLS as ALL_CONTROLS
from benchmark.storage.paths import HELD_OUT

V = TypeVar("V")

LEAST_IMAGES = 3  # from which the interval of a distance can be estimated
MOST_STEPS = 1_000_000  # of one way from noise to image


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Beta = Annotated[float, Field(ge=0, lt=1)]
# It stands in tables and pictures: one line, and something to read.
Family = Annotated[
    str,
    text(
        r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*\S)?$",
        "one line of visible characters, as DDPM or My GAN",
        40,
    ),
]
Listed = Annotated[list[V], BeforeValidator(_as_list)]
Several = Annotated[Listed[V], Field(min_length=1)]

if TYPE_CHECKING:
    Schedule = Options
    Sampler = Options
    Metric = Options
else:
    # The options of everything registered, told apart by `kind`.
    def _union(registry: Registry) -> Any:
        options = tuple(registry.options(name) for name in registry.names())
        return Annotated[functools.reduce(operator.or_, options), Field(discriminator="kind")]

    Schedule, Sampler, Metric = _union(SCHEDULES), _union(SAMPLERS), _union(METRICS)


# What networks compute in. float32 is that of IEEE 754, on a GPU too.
Precision = Literal["float32", "tf32", "bf16"]


class Training(Strict):
    """How a network is trained from scratch, with AdamW on the loss of its process."""

    steps: int | None = Field(
        default=None, ge=1, le=10**9, description="Optimiser steps; or give epochs"
    )
    epochs: int | None = Field(
        default=None, ge=1, le=10**6, description="Passes over the training set"
    )
    batch: int = Field(default=64, ge=1, le=MOST_IMAGES)
    lr: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate")
    warmup: int = Field(default=100, ge=0, le=10**9, description="Steps of linear warm-up")
    decay: Literal["cosine", "constant"] = Field(default="cosine", description="After warm-up")
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    weight_decay: float = Field(default=0.01, ge=0, le=1000)
    clip: float | None = Field(default=1.0, gt=0, description="Largest gradient norm; null: none")
    ema: float | None = Field(
        default=0.999,
        gt=0,
        lt=1,
        description="Decay of the weights' moving average, warmed up as (1+k)/(10+k); null: none",
    )
    flip: bool = Field(default=False, description="Mirror images at random")
    dequantise: bool = Field(
        default=False, description="Spread each of the 256 grey levels over its interval"
    )
    prediction: Prediction | None = Field(
        default=None, description="What the network predicts; null: as in the paper of its process"
    )
    anneal_power: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="p of λ(σ) = σ^p in the loss of a geometric schedule; null: 2, as in the paper",
    )
    likelihood_weighting: bool = Field(
        default=False, description="λ = g² in the loss of an SDE, instead of σ²"
    )
    log_every: int = Field(
        default=10, ge=1, le=10**9, description="Steps between two points of the curve"
    )
    save_seconds: float = Field(default=30, gt=0, description="Seconds between two saved states")

    @model_validator(mode="after")
    def _steps_or_epochs(self) -> Training:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs, and not both")
        return self

    def loss_options(self) -> dict[str, Any]:
        """Return the options of the loss that are not its defaults."""
        options = self.model_dump(include={"prediction", "anneal_power", "likelihood_weighting"})
        return {name: value for name, value in options.items() if value is not None}

    def total_steps(self, images: int) -> int:
        """Return the number of optimiser steps for a training set of `images`."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * -(-images // self.batch)


class Model(Strict):
    """A row of the report: a family, its data, and a network to train or one that is ready.

    Images that were made elsewhere are judged beside them, as those of a GAN may be.
    """

    family: Family = Field(description="The name in the tables: DDPM, DDIM, NCSN, SBGM-SDE")
    data: Name = Field(description="What is learnt; of ready weights, what samples are judged by")
    network: Name | None = Field(default=None, description="What is trained from scratch")
    training: Name | None = Field(default=None, description="How it is trained")
    weights: Pretrained | None = Field(
        default=None, description="Ready weights, instead of network and training"
    )
    images: UserPath | None = Field(
        default=None, description="Folder of images made elsewhere, instead of a network"
    )
    clip: bool | None = Field(
        default=None,
        description="Confine estimates of x_0 to the range of images when sampling; null: as the "
        "checkpoint's scheduler says, else as in the paper of the process, which DDPM alone does",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Model:
        origins = [("network", "training"), ("weights",), ("images",)]
        given = [[getattr(self, key) is not None for key in keys] for keys in origins]
        if sum(map(any, given)) != 1 or sum(map(all, given)) != 1:
            raise ValueError("give either network and training, or weights, or images")
        if self.images and self.clip is not None:
            raise ValueError("clip: images made elsewhere are not sampled: leave it out")
        return self


class Entry(Strict):
    """A block of the grid: the product of all its lists."""

    table: Name = Field(description="The table in which these rows stand")
    model: Several[Name]
    schedule: Listed[Name] = Field(default=[], description="Left out for images made elsewhere")
    sampler: Listed[Name] = Field(default=[], description="Left out for images made elsewhere")
    steps: Listed[Annotated[int, Field(ge=1, le=MOST_STEPS)]] = Field(
        default=[], description="Left out for images made elsewhere"
    )
    samples: int = Field(ge=LEAST_IMAGES, le=MOST_IMAGES, description="Images for each cell")
    shard: int | None = Field(
        default=None,
        ge=1,
        description="Images that one job draws, rounded up to whole batches; null: all",
    )
    seed: Several[Seed] = Field(
        default=[0], description="Of the samples; which images of a folder are taken"
    )

    @property
    def samplings(self) -> list[Sampling] | list[None]:
        """The product of schedules, samplers and steps; of images made elsewhere None."""
        product = itertools.product(self.schedule, self.sampler, self.steps)
        return [Sampling(*point) for point in product] or [None]


class Evaluation(Strict):
    """How samples are judged: by one Fréchet distance and any other metrics."""

    extractor: str = "efficientnet-lite0"
    metrics: dict[Name, Metric] = Field(min_length=1, description="Metrics by column name")
    sizes: list[Annotated[int, Field(ge=LEAST_IMAGES, le=MOST_IMAGES)]] = Field(
        default=[], description="Numbers of images at which the distance is measured too"
    )
    few: int | None = Field(
        default=None,
        ge=1,
        description="Distances of fewer images are marked; null: as many images as the covariance "
        "of the features needs for full rank, which are one more than the features' dimension",
    )
    controls: list[str] = Field(
        default=list(CONTROLS), description="Made images that are judged as samples are"
    )
    neighbours: int = Field(
        default=5, ge=1, le=100, description="k of the nearest-neighbour retrieval"
    )
    panel_rows: int = Field(
        default=8, ge=1, le=100, description="Rows of a nearest-neighbour panel"
    )

    @model_validator(mode="after")
    def _check_lists(self) -> Evaluation:
        for name in self.controls:
            _known("controls", name, CONTROLS)
        for key, values in (("controls", self.controls), ("sizes", self.sizes)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: one is named twice: keep one of the two")
        return self

    @model_validator(mode="after")
    def _check_metrics(self) -> Evaluation:
        if sum(metric.kind == "frechet" for metric in self.metrics.values()) != 1:
            raise ValueError("metrics: exactly one of kind frechet is needed: plots are made of it")
        for name in self.metrics.keys() & COLUMNS:
            raise ValueError(f"metrics: every table has a column {name}: choose another name")
        extractor = EXTRACTORS.get(self.extractor)
        for name, metric in self.metrics.items():
            if extractor and extractor.classifier is None and takes_logits(metric.kind):
                raise ValueError(
                    f"metrics.{name}: extractor {self.extractor} has no class probabilities: use "
                    "one of the 2015 Inception, such as inception-v3-fid"
                )
        return self


class Subject(NamedTuple):
    """What is judged: the samples of a cell, or a control."""

    name: str
    dataset: str
    cell: Cell | None = None
    control: Control | None = None


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
            _check_data(f"data.{name}", source)
        for name, options in self.schedules.items():
            _check_schedule(f"schedules.{name}", options)
        for name, model in self.models.items():
            at = f"models.{name}"
            _known(f"{at}.data", model.data, self.data)
            if model.network is None or model.training is None:
                continue
            _known(f"{at}.network", model.network, self.networks)
            _known(f"{at}.training", model.training, self.training)
            _check_fits(f"{at}.network", self.networks[model.network], self.data[model.data])
        _known("evaluation.extractor", self.evaluation.extractor, EXTRACTORS)
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
            _known(f"{at}.model", model, self.models)
            self._check_keys(at, entry, model)
        for schedule, sampler in itertools.product(entry.schedule, entry.sampler):
            _known(f"{at}.schedule", schedule, self.schedules, SCHEDULES.names())
            _known(f"{at}.sampler", sampler, self.samplers, SAMPLERS.names())
        for model, schedule in itertools.product(entry.model, entry.schedule):
            self._check_learns(model, schedule)
            for sampler in entry.sampler:
                sampled_with = self.schedule_of(model, schedule)
                described = self.described.get(model)
                _check_plan(sampled_with, self.sampler(sampler), entry.steps, at, described)

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
        process = make_process(self.schedule(schedule))
        network, training = recipe
        _check_network(f"networks.{self.models[model].network}", network, schedule, process)
        _check_loss(f"training.{self.models[model].training}", training, schedule, process)

    def _check_described(self, model: str, schedule: str) -> None:
        weights = self.described.get(model)
        if weights is None:
            return
        try:
            self.check_weights(model, schedule, weights)
        except BenchmarkError as error:
            raise ValueError(str(error)) from None
        if weights.spec is not None:
            source = self.data[self.models[model].data]
            _check_fits(f"models.{model}.weights", weights.spec, source)
            if not isinstance(self.models[model].weights, DiffusersCheckpoint):
                process = make_process(weights.schedule)
                at = f"models.{model}.weights: network"
                _check_network(at, weights.spec, schedule, process)

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
        dimension = EXTRACTORS[self.evaluation.extractor].dimension
        seen: set[Sizes] = set()
        for subject in self.subjects.values():
            sizes = Sizes(self.count(subject), self.data[subject.dataset].train, dimension)
            if sizes in seen:
                continue
            seen.add(sizes)
            for name, metric in self.evaluation.metrics.items():
                try:
                    check_sizes(metric.kind, sizes, metric.keywords())
                except BenchmarkError as error:
                    raise ValueError(
                        f"evaluation.metrics.{name}: {subject.name}: {error}; change its options, "
                        "the numbers of images, or leave the metric out"
                    ) from None

    def schedule(self, name: str) -> Schedule:
        """Return the schedule called `name`: one of this config, or a kind with its defaults."""
        return self.schedules.get(name) or SCHEDULES.options(name)(kind=name)

    def sampler(self, name: str) -> Sampler:
        """Return the sampler called `name`: one of this config, or a kind with its defaults."""
        return self.samplers.get(name) or SAMPLERS.options(name)(kind=name)

    @cached_property
    def described(self) -> dict[str, Description]:
        """What ready weights say of themselves, by model; of those on a hub nothing is known."""
        found = {}
        for name, model in self.models.items():
            if model.weights is None:
                continue
            try:
                description = describe(model.weights)
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

    def check_weights(self, model: str, schedule: str, weights: Description) -> None:
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
        if schedule in self.schedules and stated.model_dump() != weights.schedule.model_dump():
            raise BenchmarkError(
                f"schedules.{schedule}: {at} were trained with {weights.schedule.keywords()}: "
                f"give these, or name {weights.schedule.kind} in the grid and state none"
            )

    def missing_files(self) -> list[str]:
        """Return a line for each file of weights that a run needs, but reading and planning not."""
        missing = {
            name: missing_file(model.weights)
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
        texts |= {kind: CONTROLS[kind].text for kind in self.evaluation.controls}
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
        return {"data": source.model_dump(mode="json", exclude={"path"})}

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
                    "weights": _placeless(model.weights),
                    "schedule": self.schedule_of(cell.model, schedule).model_dump(mode="json"),
                    "resolution": cell.resolution,
                }
            ),
        }

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


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read and check a config file.

    Raises:
        BenchmarkError: with the file, the path of the key, and the nearest right name.
    """
    return parse({**read_config(path), **(overrides or {})}, str(path))


def read_config(path: Path) -> dict[str, Any]:
    """Read a config file as plain data.

    Raises:
        BenchmarkError: it cannot be read, is neither YAML nor JSON in UTF-8, is no mapping, or has
            a key twice.
    """
    try:
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise BenchmarkError(f"{path}: is written in UTF-16: save it as UTF-8")
        content = read_yaml(data.decode("utf-8-sig"))
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise BenchmarkError(f"{path}: not YAML: {line}") from None
    if content is None:
        raise BenchmarkError(f"{path}: is empty: a config is a mapping of keys: run, data, …")
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path}: a config is a mapping of keys, this is {shown(content)}")
    return content


def merged(paths: Sequence[Path], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return what config files say together, as Snakemake joins them: the later one wins.

    Args:
        paths: the files. They are read again, since Snakemake takes the last of two equal keys and
            reads YAML 1.1.
        overrides: what the command line says, by `--config`. Texts in it that YAML reads as a
            number, a truth value or null become that: within braces Snakemake leaves them texts.

    Raises:
        BenchmarkError: a file cannot be read.
    """
    content: dict[str, Any] = {}
    for layer in (*map(read_config, paths), _typed(dict(overrides))):
        _update(content, layer)
    return content


def _update(content: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(content.get(key), dict):
            _update(content[key], value)
        else:
            content[key] = value


def _typed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        scalar = read_yaml(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        return value
    return scalar if isinstance(scalar, bool | int | float | None) else value


def parse(content: Mapping[str, Any], origin: str = "config") -> Config:
    """Check a config given as plain data; `origin` begins the error message."""
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise BenchmarkError(f"{origin}: {explain(error, content)}") from None
    except RecursionError:  # an anchor of YAML that holds itself
        raise BenchmarkError(f"{origin}: it is nested without end: write it out") from None


def check_writable(folder: Path) -> None:
    """Refuse a results folder in which nothing can be written, before any job starts.

    Raises:
        BenchmarkError: the folder, or the one in which it would be made, is not writable.
    """
    for existing in (folder, *folder.parents):
        if os.path.lexists(existing):
            if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
                raise BenchmarkError(
                    f"{folder}: {existing} is not a writable folder: change its permissions, or "
                    "run elsewhere"
                )
            return


def resolved(config: Config) -> str:
    """Return the config with every default filled in, as canonical JSON."""
    return canonical_json(config.model_dump(mode="json"))


def _placeless(weights: Pretrained | None) -> dict[str, Any]:
    """Return what a config says of ready weights, but for where their files lie."""
    assert weights is not None
    is_local = isinstance(weights, DiffusersCheckpoint) and Path(weights.source).is_dir()
    return weights.model_dump(mode="json", exclude={"source" if is_local else "path"})


def _check_data(at: str, source: SourceBase) -> None:
    for split in ("train", "held_out"):
        if getattr(source, split) < LEAST_IMAGES:
            raise ValueError(f"{at}.{split}: a distance needs at least {LEAST_IMAGES} images")


def _check_fits(at: str, network: Network, source: SourceBase) -> None:
    if isinstance(network, CustomSpec):
        return
    if network.image_channels != 3:
        raise ValueError(f"{at}: images have 3 channels, image_channels is not 3")
    if source.resolution % network.multiple:
        raise ValueError(
            f"{at}: halves its images too often for resolution {source.resolution}: "
            f"choose a resolution that is a multiple of {network.multiple}"
        )


def _check_schedule(at: str, options: Options) -> None:
    try:
        make_process(options)
    except BenchmarkError as error:
        raise ValueError(f"{at}: {error}") from None


def _check_network(at: str, network: Network, schedule: str, process: Process) -> None:
    """Refuse a network that cannot be told the times of a process."""
    if isinstance(network, RefineNetSpec):
        levels = process.length if isinstance(process, DiscreteVE) else None
        if levels != network.levels:
            raise ValueError(
                f"{at}: a refinenet of {network.levels} levels cannot learn the schedule "
                f"{schedule}: a geometric one of as many levels would do"
            )
    elif network.kind == "unet" and (network.time_embedding == "fourier") != (
        process.family == "ve"
    ):
        raise ValueError(
            f"{at}.time_embedding: {network.time_embedding} cannot embed the times of the schedule "
            f"{schedule}: fourier is for ve, positional for all others"
        )


def _check_loss(at: str, training: Training, schedule: str, process: Process) -> None:
    """Refuse options of a loss that the process has not."""
    if training.anneal_power is not None and not isinstance(process, DiscreteVE):
        raise ValueError(f"{at}.anneal_power: only geometric schedules have it, not {schedule}")
    if training.likelihood_weighting and not isinstance(process, SDE):
        raise ValueError(f"{at}.likelihood_weighting: only SDEs have it, not {schedule}")


def _check_plan(
    schedule: Options,
    sampler: Options,
    steps: Iterable[int],
    at: str,
    weights: Description | None,
) -> None:
    """Refuse a schedule, a sampler, a number of steps or weights that cannot go together."""
    try:
        process = make_process(schedule)
        for count in steps:
            times = plan(process, sampler, count)
            if weights is not None:
                weights.check_times(times)
    except BenchmarkError as error:
        raise ValueError(f"{at}.{error}") from None


def _known(at: str, name: str, *named: Iterable[str]) -> None:
    names = set(itertools.chain(*named))
    if name not in names:
        raise ValueError(f"{at}: no {shown(name)}: {nearest(name, names)}")


def _find(name: str, found: Mapping[str, V], noun: str) -> V:
    if name not in found:
        raise BenchmarkError(f"no {noun} {shown(name)}: {nearest(name, found)}")
    return found[name]
