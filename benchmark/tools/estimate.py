"""What a run will cost before it is started: evaluations, FLOPs, hours on this machine, disk.

Evaluations are counted by running each sampler on a network that costs nothing, FLOPs by running
each network on torch's meta device, and times are those of each network with random weights. No
images are read and nothing is downloaded.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.config.config import Config
from benchmark.config.disk import FEATURES, FLOAT_BYTES, arrays
from benchmark.config.schema import Training
from benchmark.core.canonical import canonical_json
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.objective import objective
from benchmark.diffusion.processes.base import Prediction, Process
from benchmark.diffusion.samplers import Sampler
from benchmark.extractors import EXTRACTORS
from benchmark.extractors.weights import locate
from benchmark.models.description import Architecture
from benchmark.records.contention import Contention, load_average
from benchmark.records.record import Cell
from benchmark.runtime.device import resolve_device, seeded, synchronise, use_threads
from benchmark.runtime.gauges import watch_machine
from benchmark.runtime.training_state import KEPT
from benchmark.stages.trainer import Trainer
from benchmark.storage.paths import CACHE, Run

PROBE_SECONDS = 1.0  # for which it is watched, before anything is measured, what others do
LEAST_SECONDS = 1.0  # for which a network is timed; no batch is tried that would take longer
TRAINED_COPIES = 4  # weights, their moving average, and the two moments of AdamW
BAR = 10  # characters of the longest bar
_PIPE_WIDTH = 120  # characters of a line where the output is no terminal


@dataclass(frozen=True)
class CostRow:
    """The cost of one training, of one cell, or of all features.

    Attributes:
        stage: the verb.
        name: of the training, the cell or the extractor.
        images: that go through the network, an image of a training once for each epoch.
        evaluations: forward passes for each of them.
        exact: the evaluations are those of any network, not only of the one they were counted on.
        parameters: of the network; None: unknown.
        flops: of all images, two for each multiplication with an addition; None: unknown.
        seconds: for all images on this machine; None: unknown.
        batch: at which the time was measured.
        origin: where the architecture is from.
        unknown: why figures are missing.
    """

    stage: Literal["train", "sample", "features"]
    name: str
    images: int
    evaluations: float
    exact: bool = True
    parameters: int | None = None
    flops: float | None = None
    seconds: float | None = None
    batch: int | None = None
    origin: str = ""
    unknown: str = ""


@dataclass(frozen=True)
class RunEstimate:
    """What a run costs.

    Attributes:
        run: its name.
        device: on which it was measured.
        threads: inside an operation.
        cores: of the machine.
        load: processes that wanted to run in the minute before; None: the machine does not tell.
        busy: with what else the machine was busy, so that networks were timed on one thread by the
            work of this process alone; empty: nothing speaks against the times.
        rows: one for each job, but for those that take little.
        disk: bytes by kind.
    """

    run: str
    device: str
    threads: int
    cores: int
    load: float | None
    rows: list[CostRow]
    disk: dict[str, int]
    busy: str = ""

    @property
    def lower_bound(self) -> bool:
        """Whether the totals lack something."""
        return any(row.unknown for row in self.rows)

    @property
    def seconds(self) -> float:
        """Of all jobs, one after the other."""
        return sum(row.seconds or 0 for row in self.rows)

    @property
    def flops(self) -> float:
        """Of all jobs."""
        return sum(row.flops or 0 for row in self.rows)

    def to_json(self) -> str:
        """Return everything as JSON, at full precision."""
        total = {
            "seconds": self.seconds,
            "flops": self.flops,
            "disk_bytes": sum(self.disk.values()),
            "lower_bound": self.lower_bound,
        }
        return json.dumps({**dataclasses.asdict(self), "total": total}, indent=1)


def estimate(config: Config, run: Run, threads: int | None = None) -> RunEstimate:
    """Measure what the config's grid will cost, one network after the other.

    Args:
        config: of which nothing has to be done yet.
        run: below whose folder weights may lie that are at hand.
        threads: inside an operation; None: as many as torch takes by itself.

    Raises:
        BenchmarkError: the device is a GPU and others use it, or all cores, meanwhile.
    """
    load = load_average()
    device = resolve_device(config.device)
    threads = threads or available_cores()
    watch = watch_machine(device)
    watch.begin()  # what is looked at is all from here on
    time.sleep(PROBE_SECONDS)
    busy = _busy(watch.found(), load, device)
    rows = [] if busy else _rows(config, run, device, threads)
    # Others may have begun meanwhile. Threads that wait for each other on a busy machine take
    # hundreds of times as long, by any clock; one thread takes no more work than on a quiet one.
    busy = busy or _busy(watch.found(), load, device)
    if busy:
        rows = _rows(config, run, device, threads=1)
    use_threads(threads)
    return RunEstimate(
        run=config.run,
        device=str(device),
        threads=threads,
        cores=available_cores(),
        load=load,
        rows=rows,
        disk=_disk(config, run, rows),
        busy=busy,
    )


def _busy(found: Contention, load: float | None, device: torch.device) -> str:
    """Return with what else the machine is busy; empty: with nothing.

    Raises:
        BenchmarkError: it is, and the device is a GPU, whose own work cannot be told from others'.
    """
    busy = found.busy
    if not found.told and load is not None and load > found.cores / 2:
        busy = busy or f"a load of {load:.1f}"
    if busy and device.type == "cuda":
        raise BenchmarkError(
            f"the machine is busy: {busy}: times on {device} would be too long: estimate when idle"
        )
    return busy


def _rows(config: Config, run: Run, device: torch.device, threads: int) -> list[CostRow]:
    """Measure each network of the grid once, with so many threads."""
    use_threads(threads)
    meter = Meter(device)
    trainings = dict.fromkeys(cell.trained_as for cell in config.cells if cell.trained_as)
    sampled = [cell for cell in config.cells if cell.sampler]
    jobs: list[Callable[[], CostRow]] = [
        *(functools.partial(_train, config, name, run, meter) for name in trainings),
        *(functools.partial(_sample, config, cell, run, meter) for cell in sampled),
        functools.partial(_features, config, run, device),
    ]
    return [job() for job in track(jobs, len(jobs), f"measuring on {device}")]


def evaluations(process: Process, sampler: Sampler, steps: int) -> tuple[int, bool]:
    """Return the network evaluations that an image takes, and whether any network takes as many.

    Counted on two networks whose output is 0. Read as v, that is the closed form for images that
    are standard normal; read as x_0, for images that are all zero.
    """
    normal, point = (_count(process, sampler, steps, prediction) for prediction in ("v", "x0"))
    return normal, normal == point


def flops(network: nn.Module, resolution: int, process: Process, backward: bool = False) -> int:
    """Return the FLOPs for one image: of the forward pass, or also of the backward pass.

    Of convolutions and matrix products, each multiplication with an addition two; others are few.
    """
    on_meta = copy.deepcopy(network).to("meta")
    x, condition = _inputs(process, 1, resolution, torch.device("meta"))
    with FlopCounterMode(display=False) as counter:
        output = on_meta(x, condition)
        if backward:
            _tensor(output).sum().backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def seconds_an_image(
    call: Callable[[int], object], most: int, device: torch.device
) -> tuple[float, int]:
    """Return the seconds that `call(batch)` takes for an image, and the batch of the measurement.

    The batch is doubled up to `most` while a call stays short and fits into memory. The first call
    is never timed, and the time is the median of the others.

    Raises:
        BenchmarkError: one image does not fit into the device's memory.
    """
    try:
        call(1)
    except torch.OutOfMemoryError:
        raise BenchmarkError("one image does not fit into the device's memory") from None
    batch, spent = 1, _clock(call, 1, device)
    while 2 * spent < LEAST_SECONDS and batch < most:
        larger = min(2 * batch, most)
        try:
            spent = _clock(call, larger, device)
        except torch.OutOfMemoryError:
            break
        batch = larger
    times = [spent] if spent >= LEAST_SECONDS else []  # the first call of a size is slow
    while math.fsum(times) < LEAST_SECONDS:
        times.append(_clock(call, batch, device))
    return statistics.median(times) / batch, batch


def architecture(config: Config, cell: Cell, run: Run) -> Architecture:
    """Return the network of a cell as far as it is known on this machine.

    Raises:
        BenchmarkError: with the reason why it is not.
    """
    schedule = config.schedule(cell.sampling.schedule)
    recipe = config.recipe(cell.model)
    if recipe is not None:
        return Architecture.of(recipe[0], schedule, cell.resolution, "the config")
    weights = config.ready(cell.model, cell.sampling.schedule)
    found = weights.checkpoint.architecture(run.root.parent / CACHE)
    weights.check(found)
    return found


@dataclass(frozen=True)
class _Cost:
    """Of one image on its way through a network once, or through one training step."""

    parameters: int | None
    flops: int
    seconds: float
    batch: int


@dataclass
class Meter:
    """Measures each network once for each resolution.

    Args:
        device: on which it is timed.
    """

    device: torch.device
    found: dict[tuple[object, ...], _Cost] = field(default_factory=dict)

    def sampling(self, network: Architecture, resolution: int, most: int) -> _Cost:
        """Return the cost of one evaluation, in batches of at most `most`."""
        key = ("sample", network.key, resolution, most)
        if key not in self.found:
            self.found[key] = self._sampling(network, resolution, most)
        return self.found[key]

    def training(self, network: Architecture, resolution: int, settings: Training) -> _Cost:
        """Return the cost of one image in a training step."""
        key = ("train", network.key, resolution, settings.batch)
        if key not in self.found:
            self.found[key] = self._training(network, resolution, settings)
        return self.found[key]

    def _sampling(self, architecture: Architecture, resolution: int, most: int) -> _Cost:
        network, process = self._build(architecture)
        count = flops(network, resolution, process)
        network = network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

        @torch.inference_mode()
        def call(batch: int) -> None:
            x, condition = _inputs(process, batch, resolution, self.device)
            network(x.contiguous(memory_format=torch.channels_last), condition)

        return _Cost(_size(network), count, *seconds_an_image(call, most, self.device))

    def _training(self, architecture: Architecture, resolution: int, settings: Training) -> _Cost:
        network, process = self._build(architecture)
        count = flops(network, resolution, process, backward=True)
        trainer = Trainer(
            network=network.to(self.device).train(),
            loss=objective(process, settings.prediction, **settings.loss_options()),
            images=torch.zeros(
                (settings.batch, resolution, resolution, 3), dtype=torch.uint8, device=self.device
            ),
            settings=settings,
            seed=0,
            state=Path(),  # no state is saved: the trainer is only asked for steps
        )

        def call(batch: int) -> None:
            trainer.settings = settings.model_copy(update={"batch": batch})
            trainer.step(0)

        return _Cost(_size(network), count, *seconds_an_image(call, settings.batch, self.device))

    def _build(self, architecture: Architecture) -> tuple[nn.Module, Process]:
        with seeded(0):
            return architecture.build(), architecture.schedule.process()


def _train(config: Config, name: str, run: Run, meter: Meter) -> CostRow:
    cell = config.trainings[name]
    recipe = config.recipe(cell.model)
    assert recipe is not None
    settings = recipe[1]
    found = architecture(config, cell, run)
    images = trained_images(settings, config.data[cell.dataset].train)
    row = CostRow(stage="train", name=name, images=images, evaluations=1, origin=found.origin)
    return _priced(row, lambda: meter.training(found, cell.resolution, settings))


def _sample(config: Config, cell: Cell, run: Run, meter: Meter) -> CostRow:
    schedule, name, steps = cell.sampling
    sampler = config.sampler(name)
    row = CostRow(stage="sample", name=cell.id, images=cell.samples, evaluations=0)
    try:
        found = architecture(config, cell, run)
        count, exact = evaluations(found.schedule.process(), sampler, steps)
    except BenchmarkError as error:
        process = config.schedule_of(cell.model, schedule).process()
        count, exact = evaluations(process, sampler, steps)
        return dataclasses.replace(row, evaluations=count, exact=exact, unknown=str(error))
    row = dataclasses.replace(row, evaluations=count, exact=exact, origin=found.origin)
    return _priced(row, lambda: meter.sampling(found, cell.resolution, config.sampling_batch))


def _features(config: Config, run: Run, device: torch.device) -> CostRow:
    """Embedding all samples and controls, and the data as if none was embedded before."""
    extractor = EXTRACTORS.make(config.evaluation.extractor)
    images = sum(array.images for array in arrays(config, run) if array.kind == FEATURES)
    file = extractor.weights.file
    row = CostRow(stage="features", name=extractor.kind, images=images, evaluations=1, origin=file)
    local = dataclasses.replace(extractor.weights, mirrors=())
    try:
        embed = extractor.build(locate(local, run.root.parent / CACHE / "weights"), device)
    except BenchmarkError:
        return dataclasses.replace(row, unknown=f"{file} is not on this machine")
    side = max(cell.resolution for cell in config.cells)

    @torch.inference_mode()
    def call(batch: int) -> None:
        embed(torch.zeros((batch, 3, side, side), dtype=torch.uint8, device=device))

    def measure() -> _Cost:
        with FlopCounterMode(display=False) as counter:
            call(1)
        count = int(counter.get_total_flops())
        return _Cost(None, count, *seconds_an_image(call, config.feature_batch, device))

    return _priced(row, measure)


def trained_images(settings: Training, images: int) -> int:
    """Return how many images all steps of a training take; the last batch of an epoch may be small.

    Args:
        settings: steps or epochs, and the batch.
        images: of the training set.
    """
    epochs, steps = divmod(settings.total_steps(images), -(-images // settings.batch))
    return epochs * images + steps * settings.batch


def _priced(row: CostRow, measure: Callable[[], _Cost]) -> CostRow:
    try:
        cost = measure()
    except BenchmarkError as error:
        return dataclasses.replace(row, unknown=str(error))
    passes = row.images * row.evaluations
    return dataclasses.replace(
        row,
        parameters=cost.parameters,
        flops=cost.flops * passes,
        seconds=cost.seconds * passes,
        batch=cost.batch,
    )


def _disk(config: Config, run: Run, rows: list[CostRow]) -> dict[str, int]:
    """Return bytes by kind; pictures, tables and records are small."""
    size = {row.name: FLOAT_BYTES * (row.parameters or 0) for row in rows}
    trained = [size[name] for name in config.trainings]
    fetched = {
        canonical_json(weights.model_dump(mode="json")): size[cell.id]
        for cell in config.cells
        if (weights := config.models[cell.model].weights) and weights.is_remote()
    }
    found = list(arrays(config, run))
    written: Counter[str] = Counter()
    for array in found:
        written[array.kind] += array.size
    kept = sum(a.size for a in found if a.kind == FEATURES and a.name in config.data)
    return {
        "prepared images": written["prepared images"],
        "trained weights": sum(trained),
        # A new state is written whole before the oldest goes.
        "states of one training under way": (KEPT + 1) * TRAINED_COPIES * max(trained, default=0),
        "weights from the hub": sum(fetched.values()),
        "samples": written["samples"],
        "controls": written["controls"],
        FEATURES: written[FEATURES] + kept,  # of data once more in a cache
    }


class _Zero(nn.Module):
    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return torch.zeros_like(x)


def _count(process: Process, sampler: Sampler, steps: int, prediction: Prediction) -> int:
    generator = torch.Generator().manual_seed(0)

    def noise() -> Tensor:
        return torch.randn((1, 3, 2, 2), generator=generator)

    model = Denoiser(_Zero(), process, prediction)
    times = sampler.plan(process, steps)
    sampler.sample(model, process, process.prior(noise()), times, noise)
    return model.evaluations


def _inputs(
    process: Process, batch: int, resolution: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return noise, B×3×H×W, and what a network is told of it, B."""
    x = torch.randn((batch, 3, resolution, resolution), device=device)
    condition = torch.full((batch,), process.condition(float(process.t_max)), device=device)
    return x, condition


def _tensor(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.sample


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _clock(call: Callable[[int], object], batch: int, device: torch.device) -> float:
    """Return the seconds of a call: on a processor no more than those of its own work.

    Where others keep the cores busy, the call waits, but its own work hardly grows.
    """
    synchronise(device)
    start, worked = time.perf_counter(), time.process_time()
    call(batch)
    synchronise(device)
    seconds = time.perf_counter() - start
    return min(seconds, time.process_time() - worked) if device.type == "cpu" else seconds


def show(found: RunEstimate, console: Console | None = None) -> None:
    """Print an estimate for people, on stdout unless a console is given."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(_table(found))
    least = "at least " if found.lower_bound else ""
    console.print(
        f"Time: {least}{duration(found.seconds)} ({found.seconds / 86400:.1f} days), one job after "
        f"the other, on {found.device}, threads: {found.threads}. Arithmetic: {least}"
        f"{prefixed(found.flops)}FLOP, two for each multiplication with an addition."
    )
    if found.busy:
        longer = f", up to {found.threads} times those of {found.threads}" * (found.threads > 1)
        console.print(
            f"Other work kept this machine busy ({found.busy}): these are times of one thread's "
            f"own work{longer}. Estimate again when the machine is idle."
        )
    parts = ", ".join(f"{prefixed(size)}B {name}" for name, size in found.disk.items() if size)
    console.print(f"Disk: {least}{prefixed(sum(found.disk.values()))}B: {parts}.")
    for row in found.rows:
        if row.unknown:
            console.print(f"Unknown: {row.stage} {row.name}: {row.unknown}.")
    published = dict.fromkeys(row.origin for row in found.rows if "published" in row.origin)
    for origin in published:
        console.print(f"Not on this machine, architecture as {origin}.")
    console.print(
        "Evals are network evaluations for an image; a training's FLOPs and time have the backward "
        "pass too. Measured with random weights in the batch shown; a small batch gives a little "
        "too much. Left out: downloads, data preparation, the samplers' own arithmetic, metrics, "
        "retrieval, plots."
    )


def _table(found: RunEstimate) -> Table:
    table = Table(
        title=f"What {found.run} costs", title_justify="left", box=None, padding=(0, 1, 0, 0)
    )
    table.add_column("stage", no_wrap=True)
    table.add_column("name", overflow="fold")
    for heading in ("params", "images", "evals", "FLOPs", "batch", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("share", no_wrap=True)
    longest = max((row.seconds or 0 for row in found.rows), default=0)
    for row in found.rows:
        table.add_row(*_entries(row, found.seconds, longest))
    return table


def _entries(row: CostRow, total: float, longest: float) -> list[str]:
    about = "" if row.exact else "~"
    return [
        row.stage,
        row.name,
        prefixed(row.parameters) if row.parameters else "",
        f"{row.images:,}",
        f"{about}{row.evaluations:,.0f}",
        "unknown" if row.flops is None else about + prefixed(row.flops),
        "" if row.batch is None else str(row.batch),
        "unknown" if row.seconds is None else about + duration(row.seconds),
        "" if not row.seconds else _bar(row.seconds, total, longest),
    ]


def _bar(seconds: float, total: float, longest: float) -> str:
    return f"{seconds / total:4.0%} " + "█" * max(1, round(BAR * seconds / longest))


def duration(seconds: float) -> str:
    """Return seconds in the unit that people would choose."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"


def prefixed(number: float) -> str:
    """Return a number at three digits with the prefix of a thousand, as `113.7 M`."""
    for prefix, unit in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            return f"{number / unit:.3g} {prefix}"
    return f"{number:.3g} "
