"""Estimates what a run will cost: evaluations, FLOPs, hours on this machine, disk.

Evaluations are counted by running each sampler on a network that costs nothing, and FLOPs by
running each network on torch's meta device. Times are measured on each network with random weights.
No images are read and nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.config.building import classifier_job, likelihood_job
from benchmark.config.config import Config
from benchmark.config.disk import FEATURES, FLOAT_BYTES, arrays
from benchmark.config.training import Training
from benchmark.core.canonical import canonical_json
from benchmark.core.cores import available_cores
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.diffusion.guidance import passes
from benchmark.diffusion.noise_levels import FINE_LEVELS, times_of_levels
from benchmark.extractors import EXTRACTORS
from benchmark.extractors.weights import locate
from benchmark.models.description import Architecture
from benchmark.records.contention import Contention, load_average
from benchmark.records.record import Cell
from benchmark.runtime.device import resolve_device, use_threads
from benchmark.runtime.machine_state import monitor_machine
from benchmark.runtime.training_state import KEPT_STATES
from benchmark.runtime.workers import workers_for
from benchmark.stages.denoising import IMAGES
from benchmark.stages.trainer import DRAWS
from benchmark.storage.paths import CACHE, Run
from benchmark.tools.kept import kept_images
from benchmark.tools.network_cost import (
    Cost,
    Meter,
    evaluations,
    likelihood_evaluations,
    seconds_an_image,
)

PROBE_SECONDS = 1.0  # for which other work on the machine is observed before anything is measured
TRAINED_COPIES = 4  # in a state: weights, their moving average, and the two moments of AdamW


@dataclass(frozen=True)
class CostRow:
    """The cost of one training, of one cell, or of all features.

    Attributes:
        stage: the verb.
        name: name of the training, the cell or the extractor.
        images: number of images that go through the network; in a training, each counts once per
            epoch.
        evaluations: forward passes per image; in a training with their backward passes, and one
            without it counts as a third, as it has a third of the arithmetic.
        exact: whether any network takes as many evaluations; if not, an adaptive sampler took them
            on the network they were counted on.
        parameters: parameters of the network; None: unknown.
        flops: FLOPs for all images, two for each multiplication with an addition; None: unknown.
        seconds: seconds for all images on this machine; None: unknown.
        batch: size of the batch whose time was measured.
        kept: images besides that were drawn before, when the cell had fewer.
        origin: where the architecture is described.
        unknown: why figures are missing.
    """

    stage: Literal["train", "classifier", "sample", "features", "likelihood"]
    name: str
    images: int
    evaluations: float
    exact: bool = True
    parameters: int | None = None
    flops: float | None = None
    seconds: float | None = None
    batch: int | None = None
    kept: int = 0
    origin: str = ""
    unknown: str = ""


@dataclass(frozen=True)
class RunEstimate:
    """What a run costs.

    Attributes:
        run: name of the run.
        device: device on which it was measured.
        threads: threads of one operation.
        cores: cores of the machine.
        load: load average of the minute before; None: the machine does not tell.
        busy: what else the machine was busy with, so that networks were timed on one thread, by the
            processor time of this process; empty: nothing, and the times are valid.
        rows: a row for each job, without those that take little time.
        disk: bytes on disk by kind of file.
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
        """Whether some cost is unknown, so that the totals are lower bounds."""
        return any(row.unknown for row in self.rows)

    @property
    def seconds(self) -> float:
        """Seconds of all jobs, one after the other."""
        return sum(row.seconds or 0 for row in self.rows)

    @property
    def flops(self) -> float:
        """FLOPs of all jobs."""
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
    """Measure what the grid of a config will cost, one network after the other.

    Args:
        config: the config; nothing of its run needs to exist.
        run: the run, beside whose folder downloaded weights may lie.
        threads: threads of one operation; None: one for each core that this process may use.

    Raises:
        BenchmarkError: the device is a GPU, and other processes keep it or the cores busy.
    """
    load = load_average()
    device = resolve_device(config.device)
    threads = threads or available_cores()
    monitor = monitor_machine(device)
    monitor.begin()
    time.sleep(PROBE_SECONDS)
    busy = _busy(monitor.found(), load, device)
    rows = [] if busy else _rows(config, run, device, threads)
    # Other processes may have started meanwhile. Threads that wait for each other on a busy machine
    # take hundreds of times as long, by any clock. One thread takes hardly more processor time.
    busy = busy or _busy(monitor.found(), load, device)
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
    """Return what else the machine is busy with; empty: nothing.

    Raises:
        BenchmarkError: it is busy and the device is a GPU, whose work for this process cannot be
            told from that for others.
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
    """Measure each network of the grid once, with this number of threads."""
    use_threads(threads)
    workers = workers_for(device, threads, config.sampling_batch, config.compile)
    meter = Meter(device, threads, workers)
    trainings = dict.fromkeys(cell.trained_as for cell in config.cells if cell.trained_as)
    sampled = [cell for cell in config.cells if cell.sampler]
    jobs: list[Callable[[], CostRow]] = [
        *(functools.partial(_train, config, name, run, meter) for name in trainings),
        *(functools.partial(_classifier, config, name, meter) for name in config.guides),
        *(functools.partial(_sample, config, cell, run, meter) for cell in sampled),
        *(functools.partial(_likelihood, config, name, run, meter) for name in config.likelihoods),
        functools.partial(_features, config, run, device),
    ]
    return [job() for job in track(jobs, len(jobs), f"measuring on {device}")]


def architecture(config: Config, cell: Cell, run: Run) -> Architecture:
    """Return the architecture of a cell's network, if it is known on this machine.

    Raises:
        BenchmarkError: it is not known; the message says why.
    """
    schedule = config.schedule(cell.sampling.schedule)
    trained = config.network_and_training(cell.model)
    if trained is not None:
        channels = config.data[cell.dataset].channels
        return Architecture.of(trained[0], schedule, cell.resolution, "the config", channels)
    weights = config.ready(cell.model, cell.sampling.schedule)
    found = weights.checkpoint.architecture(run.root.parent / CACHE)
    weights.check(found)
    return found


def _train(config: Config, name: str, run: Run, meter: Meter) -> CostRow:
    cell = config.trainings[name]
    trained = config.network_and_training(cell.model)
    assert trained is not None
    settings = trained[1]
    found = architecture(config, cell, run)
    source = config.data[cell.dataset]
    images = trained_images(settings, source.train)
    measured = settings.held_out_points * DRAWS * source.held_out  # for the held-out loss
    sets = sum(min(count, IMAGES) for count in (source.train, source.held_out))
    measured += len(times_of_levels(found.schedule.process(), FINE_LEVELS)) * sets
    each = 1 + measured / (3 * images)
    row = CostRow(stage="train", name=name, images=images, evaluations=each, origin=found.origin)
    return _priced(row, lambda: meter.training(found, cell.resolution, settings))


def _classifier(config: Config, name: str, meter: Meter) -> CostRow:
    job = classifier_job(config, name)
    images = trained_images(job.settings, job.source.train)
    row = CostRow("classifier", name, images=images, evaluations=1, origin="the config")
    return _priced(row, lambda: meter.classifier(job))


def _sample(config: Config, cell: Cell, run: Run, meter: Meter) -> CostRow:
    schedule, name, steps = cell.sampling
    sampler = config.sampler(name)
    kept = kept_images(config, cell, run, meter.device.type)
    row = CostRow("sample", cell.id, images=cell.samples - kept, evaluations=0, kept=kept)
    each = passes(cell.guidance, cell.guide is not None)
    channels, side = config.data[cell.dataset].channels, cell.resolution
    asked = (config.task(cell.id), (channels, side, side)) if cell.task else ()
    try:
        found = architecture(config, cell, run)
        count, exact = evaluations(found.schedule.process(), sampler, steps, *asked)
    except BenchmarkError as error:
        process = config.schedule_of(cell.model, schedule).process()
        count, exact = evaluations(process, sampler, steps, *asked)
        return dataclasses.replace(row, evaluations=each * count, exact=exact, unknown=str(error))
    row = dataclasses.replace(row, evaluations=each * count, exact=exact, origin=found.origin)

    def measure() -> Cost:
        cost = meter.sampling(found, cell.resolution, config.sampling_batch)
        if cell.guide is None:
            return cost
        guide = meter.classifier(classifier_job(config, cell.guide))
        return dataclasses.replace(  # spread over the network's evaluations and the classifier's
            cost,
            flops=(cost.flops + guide.flops) // each,
            seconds=(cost.seconds + guide.seconds) / each,
        )

    return _priced(row, measure)


def _likelihood(config: Config, name: str, run: Run, meter: Meter) -> CostRow:
    job = likelihood_job(config, name)
    cell, source = job.network.cell, job.network.source
    counts = [source.train, source.held_out, *(subject.count for subject in job.subjects)]
    images = sum(min(count, job.settings.images) for count in counts)
    process = job.network.schedule.process()
    dimensions = source.channels * source.resolution**2
    each, exact = likelihood_evaluations(process, job.settings, dimensions)
    row = CostRow("likelihood", name, images=images, evaluations=each, exact=exact)
    try:
        found = architecture(config, cell, run)
    except BenchmarkError as error:
        return dataclasses.replace(row, unknown=str(error))
    row = dataclasses.replace(row, origin=found.origin)
    return _priced(row, lambda: meter.sampling(found, cell.resolution, config.sampling_batch))


def _features(config: Config, run: Run, device: torch.device) -> CostRow:
    """Return the cost of embedding all samples, controls and data sets, as if none were cached."""
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

    def measure() -> Cost:
        with FlopCounterMode(display=False) as counter:
            call(1)
        count = int(counter.get_total_flops())
        return Cost(None, count, *seconds_an_image(call, config.feature_batch, device))

    return _priced(row, measure)


def trained_images(settings: Training, images: int) -> int:
    """Return how many images all steps of a training take.

    The last batch of an epoch may have fewer images than the others.

    Args:
        settings: settings of the training: steps or epochs, and the batch.
        images: number of images in the training set.
    """
    epochs, steps = divmod(settings.total_steps(images), -(-images // settings.batch))
    return epochs * images + steps * settings.batch


def _priced(row: CostRow, measure: Callable[[], Cost]) -> CostRow:
    """Return a row with the measured cost of all its images, or with the reason why it has none."""
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
    """Return the bytes on disk by kind of file, without pictures, tables and records."""
    size = {row.name: FLOAT_BYTES * (row.parameters or 0) for row in rows}
    trained = [size[name] for name in (*config.trainings, *config.guides)]
    states = [size[name] * len(config.kept_of(name)) for name in config.trainings]
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
        "trained weights": sum(trained) + sum(states),
        # A new state is written before the oldest one is removed.
        "states of one training under way": (KEPT_STATES + 1)
        * TRAINED_COPIES
        * max(trained, default=0),
        "weights from the hub": sum(fetched.values()),
        "samples": written["samples"],
        "controls": written["controls"],
        FEATURES: written[FEATURES] + kept,  # those of data sets are also in the cache
    }
