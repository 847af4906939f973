"""The record: what every job writes, and the only thing that tables, plots and pages read."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import psutil
from pydantic import AfterValidator, Field, ValidationError, model_validator

from benchmark.core.closure import HOME
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import Count, Id, Name, NotNegative, Positive, Strict, explain, shown
from benchmark.core.values import Value
from benchmark.models.choices import Choice
from benchmark.records.contention import Contention, busiest
from benchmark.storage.atomic import write_text
from benchmark.storage.run_files import open_run

SCHEMA_VERSION = 3

Kind = Literal["data", "train", "sample", "controls", "features", "metrics", "retrieval"]

# Facts of memorisation: the rate of false accusations, the number of copies below which none is
# accused, and the share of accused in a part of a control.
RATE, LEAST, PART = "false_discovery_rate", "least_accused", "accused_of_"
REASON = "no_"  # began the names of facts that earlier versions kept in place of `missing`

_AGAIN = "remove it and run its command again"  # the remedy for a file that a job wrote

# Of the reasons why a GPU's clock is held back, those that are not the same on every day. That the
# limit of its power is reached is usual under load.
TOO_HOT = {
    "hw_slowdown",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
}

# Values of records that are times of work, so they are above 0.
TIMES = ("sample_seconds", "train_seconds", "train_seconds_per_step")

_LIBRARIES = (
    "torch",
    "torchvision",
    "diffusers",
    "numpy",
    "scipy",
    "faiss-cpu",
    "faiss-gpu",
    "pillow",
    "snakemake",
)


def _check_moment(text: str) -> str:
    """Refuse what no date and time can be read from; that says what is wrong with it."""
    datetime.fromisoformat(text)
    return text


Moment = Annotated[str, AfterValidator(_check_moment)]  # date and time, as ISO 8601 writes them


SIZED = "distance_at_"  # begins the names of distances of fewer images than all


def distance_at(n: int) -> str:
    """Return the name of the Fréchet distance of the first n images."""
    return f"{SIZED}{n}"


class Sampling(NamedTuple):
    """How samples are made: names of the config, and the number of steps."""

    schedule: str
    sampler: str
    steps: int


class Cell(Strict):
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
    weights: Literal["from-scratch", "pretrained", "elsewhere"]
    dataset: Name
    resolution: int
    schedule: Name | None = None
    sampler: Name | None = None
    steps: int | None = None
    seed: int
    samples: int

    @property
    def sampling(self) -> Sampling:
        """How the samples are made.

        Raises:
            BenchmarkError: they were made elsewhere.
        """
        if self.schedule is None or self.sampler is None or self.steps is None:
            raise BenchmarkError(f"{self.id}: these images were made elsewhere: nothing is sampled")
        return Sampling(self.schedule, self.sampler, self.steps)


class Control(Strict):
    """Images of known quality that are judged as samples are."""

    kind: Name
    dataset: Name
    text: str = Field(description="What the images are, for captions")


class Protocol(Strict):
    """How a distance was measured; two distances compare only where all of this is equal."""

    extractor: str
    label: str = Field(description="What the Fréchet distance is called: FID only for Inception")
    weights_sha256: str
    preprocessing: str
    dimension: int
    n_real: int
    n_fake: int
    real_sha256: str


class Lap(NamedTuple):
    """A part of a batch that was timed."""

    seconds: float
    images: float  # as many as would take its share of the batch's network evaluations
    batch: int  # images of the batch


class Timing(Strict):
    """What the sampler alone took, after warm-up, with the device synchronised."""

    warmup_batches: int = Field(ge=0)
    batch: Count = Field(description="Images in the first batch")
    batch_seconds: list[Positive] = Field(min_length=1, description="Wall time of each timed batch")
    batch_images: list[Count] = Field(description="Images in each timed batch")
    batch_laps: list[list[tuple[Positive, Count]]] = Field(
        default_factory=list,
        description="Wall time and network evaluations of each part of each timed batch; empty: "
        "not told",
    )
    network_evaluations: Positive = Field(description="Forward passes per image, counted")
    peak_memory_bytes: int = Field(ge=0, description="Of the device on a GPU, else of the process")
    peak_memory_of: Literal["device", "process"]
    joules: NotNegative | None = Field(
        default=None,
        description="Energy of the GPU, or else of the CPU packages, in the timed batches; null: "
        "the machine does not tell",
    )
    gpu_clock_mhz: NotNegative | None = Field(
        default=None, description="Of the multiprocessors, right after the last batch"
    )
    gpu_throttled: list[str] | None = Field(
        default=None, description="Why the clock was held back then, in NVML's words"
    )

    @model_validator(mode="after")
    def _is_of_every_batch(self) -> Self:
        lengths = {len(self.batch_seconds), len(self.batch_images)}
        if self.batch_laps:
            lengths.add(len(self.batch_laps))
        if len(lengths) > 1:
            raise ValueError("batch_seconds, batch_images and batch_laps do not fit each other")
        if not all(self.batch_laps):
            raise ValueError("batch_laps: a batch without laps")
        return self

    @property
    def batches(self) -> int | str:
        """Images in each batch, but for a smaller last one; where that changed, all sizes."""
        sizes = sorted({*(self.batch_images[:-1] or self.batch_images)})
        return self.batch if len(sizes) == 1 else " + ".join(map(str, sizes))

    @property
    def seconds(self) -> float:
        """Total seconds of the timed batches."""
        return sum(self.batch_seconds)

    @property
    def laps(self) -> list[Lap]:
        """The parts of all batches in the order of time; where none are told, the batches."""
        whole = [[(seconds, 1)] for seconds in self.batch_seconds]
        return [
            Lap(seconds, images * evaluations / sum(n for _, n in laps), images)
            for laps, images in zip(self.batch_laps or whole, self.batch_images, strict=True)
            for seconds, evaluations in laps
        ]

    @property
    def full_laps(self) -> list[Lap]:
        """The laps without those of a last batch that is smaller than the others."""
        least = min(self.batch_images[:-1] or self.batch_images)
        return [lap for lap in self.laps if lap.batch >= least]

    @property
    def values(self) -> dict[str, Value]:
        """The values of the record of the samples."""
        return {"sample_seconds": Value(value=self.seconds)}


class Checkpoint(Strict):
    """Weights that came ready, and what came with them."""

    sha256: str = Field(description="Of the file of weights")
    name: str = Field(description="Where they are from: an id on a hub, or a file's name")
    schedule: dict[str, Any] = Field(description="That they were trained for, as in a config")
    prediction: str = Field(description="What the network predicts")
    clip: bool = Field(description="Whether estimates of x_0 were confined to the range of images")
    facts: dict[str, Any] = Field(description="Revision and configuration, as found")
    choices: list[Choice] = Field(
        default=[], description="Settings of the checkpoint that were not followed"
    )


class Provenance(Strict):
    """The machine and the code that ran the job."""

    cpu: str
    cores: Count = Field(description="That the job could use: see `available_cores`")
    threads: Count
    processes: Count = Field(
        default=1, description="That shared the job, each with so many threads and a GPU of its own"
    )
    memory_bytes: int
    device: str
    gpu: str | None = None
    driver: str | None = None
    precision: str
    compiled: bool
    python: str
    system: str
    libraries: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None
    lock_sha256: str | None = None
    started: Moment = Field(description="When the stage began, UTC")
    wall_seconds: NotNegative
    startup_seconds: float | None = Field(
        default=None,
        description="From the start of the program to that of the stage; null: not told, or a "
        "further record of the same program",
    )


class Job(Strict):
    """When one of the jobs of a record ran; see `Provenance`."""

    threads: Count
    processes: Count = 1
    started: Moment
    wall_seconds: NotNegative
    startup_seconds: float | None = None


class Curve(Strict):
    """A training's loss against its step."""

    steps: list[int]
    loss: list[float]
    lr: list[float]

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if not len(self.steps) == len(self.loss) == len(self.lr) > 0:
            raise ValueError("steps, loss and lr need equally many numbers, at least one")
        return self


class Record(Strict):
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
    values: dict[str, Value] = {}
    sized: dict[int, Value] = Field(
        default={}, description="The Fréchet distance of the first n images, by n"
    )
    missing: dict[str, str] = Field(
        default={},
        description="Why a value could not be computed, by its name; one of `sized` is called "
        "distance_at_ and its number of images",
    )
    facts: dict[str, str | int | float | bool | list[str] | list[int] | None] = {}
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
    jobs: list[Job] | None = Field(
        default=None, description="Those of its shards, and the one that merged them"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_reasons(cls, content: Any) -> Any:
        """Take the reasons that earlier versions kept among the facts."""
        facts = content.get("facts") if isinstance(content, dict) else None
        if not isinstance(facts, dict) or not any(str(name).startswith(REASON) for name in facts):
            return content
        reasons = {name: why for name, why in facts.items() if str(name).startswith(REASON)}
        return {
            **content,
            "facts": {name: fact for name, fact in facts.items() if name not in reasons},
            "missing": {name.removeprefix(REASON): why for name, why in reasons.items()},
        }

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind in ("metrics", "retrieval") and (self.cell is None) == (self.control is None):
            raise ValueError(f"cell, control: a {self.kind} record has one of these keys")
        if self.kind == "metrics" and self.protocol is None:
            raise ValueError("protocol: this key is missing")
        if self.kind == "sample" and self.cell is None:
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
        for name in (RATE, LEAST):
            if isinstance(self.facts.get(name), list | str):
                raise ValueError(f"facts.{name}: a number is needed, not {self.facts[name]}")
        return self

    @property
    def ran(self) -> Sequence[Provenance | Job]:
        """When its job ran, or all of them."""
        return self.jobs or [self.provenance]

    @property
    def busy(self) -> str:
        """Why its times say nothing of what was timed; empty: nothing speaks against them."""
        held = {*((self.timing and self.timing.gpu_throttled) or ())} & TOO_HOT
        heat = f"GPU clock held back: {', '.join(sorted(held))}" if held else ""
        return ", ".join(filter(None, (busiest(self.contention), heat)))

    @property
    def busy_is_told(self) -> bool:
        """Whether it is known of all of its times what else the machine did."""
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


class Stopwatch:
    """When a stage started and for how long it has run, for its provenance.

    The first one of a program, once it is told when that was `created`, knows its start-up too.
    """

    created: ClassVar[float | None] = None

    def __init__(self) -> None:
        self.startup, Stopwatch.created = self.since_created(), None
        self.started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._start = time.monotonic()

    @classmethod
    def since_created(cls) -> float | None:
        """Return the seconds since the program was created, if no stage has begun in it yet."""
        return None if cls.created is None else round(_since_boot() - cls.created, 3)

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return round(time.monotonic() - self._start, 3)


def created(pid: int) -> float | None:
    """Return when a process was created, in seconds since boot; None where nothing tells it."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    fields = stat.read_text().rpartition(")")[2].split()  # proc_pid_stat(5), from its third field
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def provenance(
    watch: Stopwatch,
    *,
    threads: int = 1,
    processes: int = 1,
    device: str = "cpu",
    precision: str = "float32",
    compiled: bool = False,
) -> Provenance:
    """Describe this machine, these libraries and this code, without naming host or user."""
    gpu, driver = _gpu() if device.startswith("cuda") else (None, None)
    commit, dirty = _git()
    return Provenance(
        cpu=_cpu(),
        cores=available_cores(),
        threads=threads,
        processes=processes,
        memory_bytes=psutil.virtual_memory().total,
        device=device,
        gpu=gpu,
        driver=driver,
        precision=precision,
        compiled=compiled,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        libraries=_libraries(),
        git_commit=commit,
        git_dirty=dirty,
        lock_sha256=_lock(),
        started=watch.started,
        wall_seconds=watch.seconds(),
        startup_seconds=watch.startup,
    )


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _gpu() -> tuple[str | None, str | None]:
    torch = sys.modules.get("torch")
    name = torch.cuda.get_device_name() if torch is not None else None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return name, _first_line(query) or None


def _first_line(command: list[str], cwd: Path | None = None) -> str | None:
    """Return the first line that a command prints, perhaps empty; None: it fails."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else None


@functools.cache
def _git() -> tuple[str | None, bool | None]:
    commit = _first_line(["git", "rev-parse", "HEAD"], HOME)
    if not commit:
        return None, None
    changed = _first_line(["git", "status", "--porcelain", "-uno"], HOME)
    return commit, None if changed is None else bool(changed)


def _lock() -> str | None:
    lock = HOME / "uv.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None
