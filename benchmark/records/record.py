"""The record: what every job writes, and the only thing that tables, plots and pages read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Count, Id, Name, Positive, StrictModel, explain, shown
from benchmark.core.values import Value
from benchmark.models.choices import Choice
from benchmark.records.contention import Contention, busiest
from benchmark.records.provenance import JobRun, Provenance
from benchmark.records.sections import (
    Answered,
    AskedClasses,
    ClassFigures,
    Classified,
    Embedded,
    Gathered,
    JudgedAgainst,
    Likelihoods,
    MadeControls,
    Prepared,
    Retrieved,
    ShardIdentity,
    Trained,
    from_facts,
)
from benchmark.records.sketch import Sketch
from benchmark.records.timing import Timing
from benchmark.storage.atomic import write_text
from benchmark.storage.run_files import open_run

SCHEMA_VERSION = 4

Kind = Literal[
    "data",
    "train",
    "classifier",
    "sample",
    "controls",
    "features",
    "metrics",
    "retrieval",
    "answers",
    "likelihood",
]

_AGAIN = "remove it and run its command again"  # the remedy for a file that a job wrote

# Reasons for a slow GPU clock that make a time invalid, in NVML's words. That the GPU reaches its
# power limit is not among them, since this is normal under load.
TOO_HOT = {
    "hw_slowdown",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
}

# Names of values that are times of work, which must be above 0.
TIMES = ("sample_seconds", "train_seconds", "train_seconds_per_step")

SIZED = "distance_at_"  # prefix of the names of distances of fewer images than all


def distance_at(n: int) -> str:
    """Return the name of the Fréchet distance of the first n images."""
    return f"{SIZED}{n}"


class Sampling(NamedTuple):
    """How samples are made: names of the config, and the number of steps."""

    schedule: str
    sampler: str
    steps: int


class CellTask(StrictModel):
    """What a cell was asked about held-out images, and how it was answered."""

    label: Name = Field(description="Its part of the id of the cell")
    question: Name = Field(description="Name of the operator, with its main option")
    operator: dict[str, Any] = Field(description="What was given of the images")
    method: dict[str, Any] = Field(description="How it was answered")
    answers: Count = Field(description="Answers to each question, one behind the other")


class Cell(StrictModel):
    """One point of the grid: what was sampled, from which model, how.

    Images that were made elsewhere have no schedule, sampler and steps.
    """

    id: Id
    table: Name
    family: str
    model: Name
    trained_as: Id | None = Field(
        default=None,
        description="Id of the training whose weights were sampled; null: they came ready",
    )
    trained_steps: Count | None = Field(
        default=None,
        description="Steps after which the state of the training was kept that is sampled; null: "
        "the training was finished, or is not of this run",
    )
    raw: bool = Field(
        default=False,
        description="Whether the weights of the last step of the training are sampled, and not "
        "their moving average",
    )
    weights: Literal["from-scratch", "pretrained", "elsewhere"]
    dataset: Name
    resolution: int
    schedule: Name | None = None
    sampler: Name | None = None
    steps: int | None = None
    guidance: float | None = Field(
        default=None, description="Scale of the guidance by class; null: none is stated"
    )
    classifier: Name | None = Field(
        default=None, description="Classifier whose gradient is the guidance; null: none"
    )
    task: CellTask | None = Field(
        default=None, description="What was asked about held-out images; null: nothing"
    )
    seed: int
    samples: int

    @property
    def scale(self) -> str:
        """The scale of the guidance and its classifier in words; empty: none is stated."""
        by = f" by {self.classifier}" if self.classifier else ""
        return "" if self.guidance is None else f"w = {self.guidance:g}{by}"

    @property
    def is_state(self) -> bool:
        """Whether weights are sampled that a training kept beside those that it ends with."""
        return self.raw or self.trained_steps is not None

    @property
    def guide(self) -> str | None:
        """The classifier that steers the samples; None: none does, as at the scale 0."""
        return self.classifier if self.guidance else None

    @property
    def sampling(self) -> Sampling:
        """How the samples are made.

        Raises:
            BenchmarkError: they were made elsewhere.
        """
        if self.schedule is None or self.sampler is None or self.steps is None:
            raise BenchmarkError(f"{self.id}: these images were made elsewhere: nothing is sampled")
        return Sampling(self.schedule, self.sampler, self.steps)


class Control(StrictModel):
    """Images of known quality that are judged as samples are."""

    kind: Name
    dataset: Name
    text: str = Field(description="What the images are, for captions")


class Protocol(StrictModel):
    """How a distance was measured; two distances compare only where all of this is equal."""

    extractor: str
    label: str = Field(description="What the Fréchet distance is called: FID only for Inception")
    weights_sha256: str
    preprocessing: str
    dimension: int
    n_real: int
    n_fake: int
    real_sha256: str


class Checkpoint(StrictModel):
    """Weights that came ready, and what came with them."""

    sha256: str = Field(description="Hash of the file of weights")
    name: str = Field(description="Origin of the weights: an id on a hub, or the name of a file")
    schedule: dict[str, Any] = Field(
        description="Schedule for which they were trained, as in a config"
    )
    prediction: str = Field(description="What the network predicts")
    clip: bool = Field(description="Whether estimates of x_0 were confined to the range of images")
    facts: dict[str, Any] = Field(description="Revision and configuration, as found")
    choices: list[Choice] = Field(
        default=[], description="Settings of the checkpoint that were not followed"
    )


class Curve(StrictModel):
    """A training's loss against its step."""

    steps: list[int]
    loss: list[float]
    lr: list[float]
    held_out: list[tuple[Count, float]] = Field(
        default=[], description="Step and loss of the held-out images with the averaged weights"
    )
    gradient: list[float] = Field(
        default=[],
        description="Norm of the gradient of the network that makes samples, before clipping, the "
        "mean of the steps before each point; empty: not told",
    )

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if not len(self.steps) == len(self.loss) == len(self.lr) > 0:
            raise ValueError("steps, loss and lr need equally many numbers, at least one")
        if self.gradient and len(self.gradient) != len(self.steps):
            raise ValueError("gradient: as many numbers as steps are needed, or none")
        return self


class Record(StrictModel):
    """What one job found."""

    schema_version: Count = SCHEMA_VERSION
    kind: Kind
    id: Id
    spec: dict[str, Any]
    spec_hash: str
    provenance: Provenance
    cell: Cell | None = None
    control: Control | None = None
    protocol: Protocol | None = None
    by_class: dict[str, ClassFigures] | None = Field(
        default=None, description="Figures by the name of a class; null: the images have none"
    )
    values: dict[str, Value] = {}
    sized: dict[int, Value] = Field(
        default={}, description="The Fréchet distance of the first n images, by n"
    )
    missing: dict[str, str] = Field(
        default={},
        description="Why a value could not be computed, by its name; one of `sized` is called "
        "distance_at_ and its number of images",
    )
    prepared: Prepared | None = Field(default=None, description="Section of a data set")
    trained: Trained | None = Field(default=None, description="Section of a training")
    classified: Classified | None = Field(default=None, description="Section of a classifier")
    gathered: Gathered | None = Field(default=None, description="Section of images made elsewhere")
    asked: AskedClasses | None = Field(
        default=None, description="Classes of which samples were asked; null: of none"
    )
    made: MadeControls | None = Field(default=None, description="Section of controls")
    embedding: Embedded | None = Field(default=None, description="Section of features")
    judged: JudgedAgainst | None = Field(default=None, description="Section of metrics")
    retrieved: Retrieved | None = Field(default=None, description="Section of a retrieval")
    answered: Answered | None = Field(default=None, description="Section of answers")
    likelihoods: Likelihoods | None = Field(default=None, description="Section of likelihoods")
    shard_identity: ShardIdentity | None = Field(
        default=None, description="What identifies a shard"
    )
    shard_images: Count | None = Field(
        default=None, description="Images of each shard that was merged; null: one job made all"
    )
    sketch: Sketch | None = Field(
        default=None, description="Tells how far samples are from those of another cell"
    )
    timing: Timing | None = None
    checkpoint: Checkpoint | None = None
    curve: Curve | None = None
    step_laps: list[tuple[Positive, Count]] = Field(
        default=[], description="Wall time and steps of each lap of a training; empty: not told"
    )
    contention: list[Contention] = Field(
        default=[],
        description="What else used the machine while samples were drawn, of each shard, or in "
        "each sitting of a training; empty: not told",
    )
    jobs: list[JobRun] | None = Field(
        default=None,
        description="Runs of the jobs of all parts of a cell, and of those that joined them; "
        "null: one job made all",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_facts(cls, content: Any) -> Any:
        """Convert the one dictionary, `facts`, of records up to schema 3."""
        has_facts = isinstance(content, dict) and "facts" in content
        return from_facts(content) if has_facts else content

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind in ("metrics", "retrieval") and (self.cell is None) == (self.control is None):
            raise ValueError(f"cell, control: a {self.kind} record has one of these keys")
        if self.kind == "metrics" and self.protocol is None:
            raise ValueError("protocol: this key is missing")
        if self.kind in ("sample", "answers") and self.cell is None:
            raise ValueError("cell: this key is missing")
        if self.cell is not None and self.cell.id != self.id:
            raise ValueError(f"id: {self.id} is not that of its cell, {self.cell.id}")
        for name in TIMES:
            if name in self.values and (found := self.values[name].value) <= 0:
                raise ValueError(f"values.{name}.value: a number above 0 is needed, not {found}")
        return self

    @model_validator(mode="after")
    def _holds_what_tables_look_up(self) -> Self:
        at, found = "spec", self.spec
        for key in ("evaluation", "metrics"):
            at, found = f"{at}.{key}", found.get(key, {})
            if not isinstance(found, dict):
                raise ValueError(f"{at}: a mapping of keys is needed, not {shown(found)}")
        for name, options in found.items():
            if not isinstance(options, dict):
                raise ValueError(f"{at}.{name}: a mapping of keys is needed, not {shown(options)}")
        return self

    @property
    def ran(self) -> Sequence[Provenance | JobRun]:
        """When the job of the record ran; of a merged record, when each of its jobs ran."""
        return self.jobs or [self.provenance]

    @property
    def busy(self) -> str:
        """Why the times of the record are not valid; empty if nothing speaks against them."""
        held = {*((self.timing and self.timing.gpu_throttled) or ())} & TOO_HOT
        heat = f"GPU clock held back: {', '.join(sorted(held))}" if held else ""
        return ", ".join(filter(None, (busiest(self.contention), heat)))

    @property
    def busy_is_told(self) -> bool:
        """Whether it is known for all of its times what else used the machine."""
        return bool(self.contention) and all(part.told for part in self.contention)

    def write(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        write_text(path, self.model_dump_json(indent=1, exclude_none=True) + "\n")


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        BenchmarkError: it is no record, or was written by a newer version.
    """
    try:
        return _parse(path.read_bytes(), path)
    except OSError as error:
        raise BenchmarkError(f"{path}: not a readable record: {error}") from None


def read_records(run: Path) -> list[Record]:
    """Read all records of a run folder or a bundle, ordered by kind and id.

    Raises:
        BenchmarkError: there is no run, it holds no records or an unreadable one, or the bundle is
            not whole.
    """
    files = open_run(run)
    names = files.matching("records/*/*.json")
    if not names and run.is_dir() and not (run / "records").is_dir():
        raise BenchmarkError(
            f"{run}: no run: it has no records folder: give one as results/quickstart, or a bundle"
        )
    if not names:
        raise BenchmarkError(f"{run}: no records in it: has the run been started?")
    return [_parse(files.read(name), run / name) for name in names]


def _parse(data: bytes, path: Path) -> Record:
    """Return the record in `data`, of the file `path`, which is named after its kind and id."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path}: not a readable record: {error}: {_AGAIN}") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BenchmarkError(
            f"{path}: record schema {version} is newer than {SCHEMA_VERSION}, which this version "
            "reads: update the benchmark"
        )
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise BenchmarkError(f"{path}: not a record: {explain(error, content)}: {_AGAIN}") from None
    if (record.kind, record.id) != (path.parent.name, path.stem):
        raise BenchmarkError(f"{path}: holds the {record.kind} record of {record.id}: {_AGAIN}")
    return record
