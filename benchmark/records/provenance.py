"""On which machine, with which code and when a job ran."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import psutil
from pydantic import AfterValidator, Field

from benchmark.core.closure import HOME
from benchmark.core.cores import available_cores
from benchmark.core.nvml import ask
from benchmark.core.strict_model import Count, NotNegative, StrictModel

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
    """Refuse a text that is no date and time; the error of `fromisoformat` says what is wrong."""
    datetime.fromisoformat(text)
    return text


Moment = Annotated[str, AfterValidator(_check_moment)]  # date and time, as ISO 8601 writes them


class Provenance(StrictModel):
    """The machine and the code that ran the job."""

    cpu: str
    cores: Count = Field(description="Cores that the job could use: see `available_cores`")
    threads: Count
    processes: Count = Field(
        default=1,
        description="Processes of the job, each with so many threads, and on GPUs with its own",
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


class JobRun(StrictModel):
    """When one of the jobs of a record ran; see `Provenance`."""

    threads: Count
    processes: Count = 1
    started: Moment
    wall_seconds: NotNegative
    startup_seconds: float | None = None
    images: tuple[int, int] | None = Field(
        default=None,
        description="First of the images that it made, and that after the last; null: it joined "
        "images, or it is not told",
    )


def span(job: Provenance | JobRun) -> tuple[datetime, datetime]:
    """Return when a job's stage began, and when it ended."""
    begun = datetime.fromisoformat(job.started)
    return begun, begun + timedelta(seconds=job.wall_seconds)


class Stopwatch:
    """Measures when a stage started and for how long it has run.

    If `created` is set, the first one of a program also measures how long the program took to
    start.
    """

    created: ClassVar[float | None] = None  # when the program was created, in seconds since boot

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
    """Return when a process was created, in seconds since boot; None: unknown."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    fields = stat.read_text().rpartition(")")[2].split()  # proc_pid_stat(5), from its third field
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Work(NamedTuple):
    """How a job computes."""

    threads: int = 1
    processes: int = 1
    device: str = "cpu"
    precision: str = "float32"
    compiled: bool = False


def provenance(watch: Stopwatch, work: Work) -> Provenance:
    """Describe this machine, these libraries and this code, without naming host or user."""
    gpu, driver = _gpu() if work.device.startswith("cuda") else (None, None)
    commit, dirty = _git()
    return Provenance(
        cpu=_cpu(),
        cores=available_cores(),
        memory_bytes=psutil.virtual_memory().total,
        gpu=gpu,
        driver=driver,
        **work._asdict(),
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


def look_up_machine() -> None:
    """Look up once what all jobs that are forked from this process record alike."""
    _libraries()
    _cpu()
    _git()
    _lock()


@functools.cache
def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
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
    return name, ask(lambda nvml: str(nvml.nvmlSystemGetDriverVersion()))


def _first_line(command: list[str], cwd: Path | None = None) -> str | None:
    """Return the first line that a command prints, which may be empty; None: it failed."""
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


@functools.cache
def _lock() -> str | None:
    lock = HOME / "uv.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None
