"""Sample a cell, and time the sampler alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.config.dependencies import code
from benchmark.config.shards import parse_shard
from benchmark.core.errors import BenchmarkError
from benchmark.core.progress import track
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.guidance import ClassGradient, Told
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.processes.base import Array
from benchmark.records.contention import ContentionMonitor
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Checkpoint, Record
from benchmark.records.sections import ShardIdentity
from benchmark.records.sketch import sketch_of
from benchmark.records.timing import Timing
from benchmark.runtime.batch_times import BatchTime, BatchTimes
from benchmark.runtime.device import arithmetic, peak_memory, placed, resolve_device, use_threads
from benchmark.runtime.machine_state import gpu_state, monitor_machine
from benchmark.runtime.memory_retry import in_batches
from benchmark.runtime.model_range import to_uint8
from benchmark.runtime.packing import pack_convolutions
from benchmark.runtime.questions import Questions
from benchmark.runtime.workers import Workers, shares, workers_for
from benchmark.stages.chain import CHAIN_IMAGES, Chain
from benchmark.stages.drawn import Drawn, drawn_before, keep
from benchmark.stages.sample_inputs import (
    asked_classes,
    choices_of,
    load_network,
    loaded_classifier,
    sources_of,
)
from benchmark.storage.arrays import write_blocks
from benchmark.storage.paths import Run
from benchmark.storage.pictures import read_movie, write_pictures

if TYPE_CHECKING:
    from benchmark.config.jobs.sample import SampleJob

WARMUP_STEPS = 2
LAPS = 20  # the fewest timed parts of all batches together, if the sampler has as many steps


def stage(job: SampleJob, run: Run, threads: int = 1, shard: str | None = None) -> Record:
    """Sample a cell; write images, pictures, and the record with the times.

    Args:
        job: what is sampled, and how.
        run: the run that has the weights, and into whose folder is written.
        threads: threads that the job may use, for one operation or one a worker: `workers_for`.
        shard: the images to sample, as 0-1000; they and their record are written into a folder of
            their own, for `merge`. None: all images.

    Raises:
        BenchmarkError: the weights cannot be loaded, a sample is not finite, one image does not fit
            into memory, or the shard does not consist of whole batches.
    """
    draft = Draft(job.kind, job.name, job.spec())
    device = resolve_device(job.computing.device)
    monitor = monitor_machine(device)
    workers = workers_for(device, threads, job.batch, job.computing.compile)
    use_threads(threads if workers == 1 else 1)
    name, cell = job.name, job.cell
    part = parse_shard(shard, cell.samples, job.batch) if shard else range(cell.samples)
    place = run.shard(job.kind, name, shard) if shard else run
    sampling = CellSampling(job, run, device, part, monitor)
    for choice in sampling.checkpoint.choices:
        print(f"{name}: {choice}", file=sys.stderr)
    identity = ShardIdentity(code=code(job), sources=sampling.sources)
    known = drawn_before(job, run, part, identity, device.type, sampling.classes)
    sampling.leave_out(len(known.images))
    shape = (len(part), cell.resolution, cell.resolution, job.channels)
    with sampling.shared_by(workers if sampling.images else 1):
        blocks = chain(known.blocks(), sampling.batches())
        write_blocks(place.samples(name), blocks, shape, np.uint8)
    timing = sampling.timing() if sampling.images else None
    contention = [sampling.monitor.found()] if timing else []
    _write_pictures(sampling, known, place)
    work = Work(
        threads=threads if workers == 1 else 1,
        processes=workers,
        device=device.type,
        precision=job.computing.precision,
        compiled=job.computing.compile,
    )
    drawn = draft.record(
        work,
        cell=cell,
        values=timing.values if timing else {},
        timing=timing,
        contention=contention,
        checkpoint=sampling.checkpoint if cell.trained_as is None else None,
        asked=sampling.classes,
        sketch=sketch_of(np.load(place.samples(name), mmap_mode="r")),
    )
    record = known.joined(drawn, part)
    if shard:
        record = record.model_copy(update={"shard_identity": identity})
    record.write(place.record(job.kind, name))
    if not shard:
        keep(run, record, identity)
    return record


def _write_pictures(sampling: CellSampling, known: Drawn, place: Run) -> None:
    """Draw the pictures of a cell, or of its first shard; of another shard none."""
    name = sampling.cell.id
    if sampling.chain.frames:
        frames = sampling.chain.movie(np.load(place.samples(name), mmap_mode="r"))
        write_pictures(place, name, frames)
    elif known.images and known.images.start == 0:
        frames = read_movie(known.place.movie(name), sampling.cell.resolution)
        write_pictures(place, name, frames)


class _Task(NamedTuple):
    """What one process does of a batch."""

    images: range
    batch: range  # of which these images are a part
    is_warm_up: bool


class _Drawn(NamedTuple):
    """The images of a task, and what was measured while they were drawn."""

    images: NDArray[np.uint8]  # B×H×W×C
    time: BatchTime
    evaluations: list[int]  # of the network, in each part
    frames: list[NDArray[np.float32]]  # of the chain: see `Chain`
    peak_memory: int


class CellSampling:
    """Samples a cell, batch by batch, and measures the time.

    Args:
        job: what is sampled, and how.
        run: the run that has the weights.
        device: the device of the network.
        images: the images to sample, which are whole batches; None: all images of the cell.
        monitor: observes what else uses the machine; None: one that begins now.
    """

    def __init__(
        self,
        job: SampleJob,
        run: Run,
        device: torch.device,
        images: range | None = None,
        monitor: ContentionMonitor | None = None,
    ) -> None:
        loaded = load_network(job, run)
        network = placed(loaded.network, device)
        if job.computing.compile:
            network.compile()
        elif job.computing.precision == "bf16" and device.type == "cpu" and job.task is None:
            pack_convolutions(network)  # no gradients go through it
        clip, step = job.clip, job.batch
        self.cell = job.cell
        self.shape = (job.channels, job.cell.resolution, job.cell.resolution)  # of an image
        self.device = device
        self.images = range(job.cell.samples) if images is None else images
        self.parts = [self.images[i : i + step] for i in range(0, len(self.images), step)]
        self.batch_times = BatchTimes(device)
        self.monitor = monitor or monitor_machine(device)
        self.sizes: list[int] = []  # images of each batch
        self.counts: list[list[int]] = []  # network evaluations in each part of each batch
        self.marks: list[int] = []  # evaluations at the ends of the parts of the present batch
        self.evaluations = 0  # of the network, for all batches
        self.warm: set[int] = set()  # sizes of batches for which a warm-up was done
        self.precision = job.computing.precision
        self.process = loaded.schedule.process()
        self.model = Denoiser(
            network, self.process, loaded.prediction, loaded.clip if clip is None else clip
        )
        self.network = network
        self.guidance = 1.0 if job.cell.guidance is None else job.cell.guidance
        self.classes, self.none = asked_classes(job, run, loaded)
        self.sources = sources_of(job, run, loaded)
        network.requires_grad_(job.task is None)  # of a task, gradients are for the images alone
        self.classifier = loaded_classifier(job, run, loaded, device)
        self.questions = Questions.of(job.task, run.data(job.cell.dataset)) if job.task else None
        self.sampler = job.sampler
        self.timesteps = self.sampler.plan(self.process, job.cell.sampling.steps)
        loaded.check_sampler(self.sampler, self.timesteps)
        self.chain = Chain(self.process, len(self.timesteps))
        self.workers: Workers[_Task, _Drawn | None] | None = None
        self.workers_memory = 0  # peak of all workers together
        self.tick: Callable[[], object] = lambda: None  # called after each step
        self.is_first_batch = False
        self.checkpoint = Checkpoint(
            sha256=loaded.sha256,
            name=loaded.name,
            schedule=loaded.schedule.model_dump(mode="json"),
            prediction=loaded.prediction,
            clip=self.model.clip,
            facts=loaded.facts,
            choices=choices_of(loaded, self.sampler, self.model.clip),
        )

    def leave_out(self, count: int) -> None:
        """Sample without the first `count` images, which are whole batches."""
        self.images = self.images[count:]
        self.parts = [part for part in self.parts if part.stop > self.images.start]

    @contextmanager
    def shared_by(self, count: int) -> Iterator[None]:
        """Let so many workers draw each batch together, inside the block; 1: this process does."""
        if count == 1:
            yield
            return
        with Workers(count, self._draw_task, f"sample {self.cell.id}") as self.workers:
            yield

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the samples of each batch, uint8 B×H×W×C, and measure its time.

        If a batch does not fit into memory, smaller ones follow: see `in_batches`.
        """
        return in_batches(self.parts, self._sample, f"sample {self.cell.id}")

    def _sample(self, indices: range) -> NDArray[np.uint8]:
        """Sample a batch, uint8 B×H×W×C, and keep its time, network evaluations and size.

        Its time is that of the slowest worker.
        """
        if len(indices) not in self.warm:  # the first calls of a batch size are slower
            self._share(indices, lambda: None, is_warm_up=True)
            self.warm.add(len(indices))
        steps = len(self.timesteps)
        images = f"{indices.start}-{indices.stop} of {self.cell.samples}"
        progress = track(range(steps), steps, f"sample {self.cell.id}, images {images}, step")
        self.monitor.begin()
        drawn = self._share(indices, lambda: next(progress, None), is_warm_up=False)
        if self.workers:
            self.batch_times.add(max((each.time for each in drawn), key=lambda time: time.seconds))
            self.workers_memory = max(self.workers_memory, sum(each.peak_memory for each in drawn))
            if indices.start == 0:
                frames = zip(*(each.frames for each in drawn), strict=True)
                self.chain.frames = [torch.from_numpy(np.concatenate(each)) for each in frames]
        counts = [sum(parts) for parts in zip(*(each.evaluations for each in drawn), strict=True)]
        self.sizes.append(len(indices))
        self.counts.append(counts)
        self.evaluations += sum(counts)
        return np.concatenate([each.images for each in drawn])

    def _share(self, batch: range, tick: Callable[[], object], is_warm_up: bool) -> list[_Drawn]:
        """Draw a batch in this process, or by its workers; nothing is returned of a warm-up."""
        parts = shares(batch, self.workers.count if self.workers else 1)
        tasks = [_Task(images, batch, is_warm_up) for images in parts]
        work = self.workers or (lambda tasks, tick: [self._draw_task(tasks[0], tick)])
        return [each for each in work(tasks, tick) if each is not None]

    def _draw_task(self, task: _Task, tick: Callable[[], object]) -> _Drawn | None:
        """Draw the images of a task; None if they are only a warm-up."""
        self.tick, self.is_first_batch = tick, task.batch.start == 0
        if task.is_warm_up:
            self.draw(task.images, self.timesteps[:WARMUP_STEPS])
            return None
        self.model.evaluations = 0
        self.marks = [0]
        with self.batch_times.batch():
            x_0 = self.draw(task.images, self.timesteps)
        self._check_finite(x_0, task.images)
        return _Drawn(
            images=to_uint8(x_0).cpu().numpy(),
            time=self.batch_times.last(),
            evaluations=np.diff([*self.marks, self.model.evaluations]).tolist(),
            frames=[x.float().cpu().numpy() for x in self.chain.frames if self.is_first_batch],
            peak_memory=peak_memory(self.device),
        )

    def timing(self) -> Timing:
        """Return the times of the batches, once all have been sampled."""
        clock, throttled = gpu_state(self.device)
        return Timing(
            warmup_batches=len(self.warm),
            batch=self.sizes[0],
            batch_seconds=self.batch_times.seconds,
            batch_images=self.sizes,
            batch_laps=[
                list(zip(seconds, counts, strict=True))
                for seconds, counts in zip(self.batch_times.parts, self.counts, strict=True)
            ],
            network_evaluations=self.evaluations / len(self.images),
            peak_memory_bytes=peak_memory(self.device) + self.workers_memory,
            peak_memory_of="device" if self.device.type == "cuda" else "process",
            joules=self.batch_times.joules,
            gpu_clock_mhz=clock,
            gpu_throttled=throttled,
        )

    @torch.inference_mode()
    def draw(self, indices: Sequence[int], timesteps: Array) -> Tensor:
        """Return the samples of these indices, B×C×H×W in about [-1, 1].

        A sample has the same noise whichever others are in its batch.

        Args:
            indices: numbers of the samples in the cell (B).
            timesteps: the times that the sampler steps through, of shape (n,).
        """
        noise = NoiseStream(self.cell.seed, indices, self.shape, self.device)
        x_T = self.process.prior(noise()).contiguous(memory_format=torch.channels_last)
        if self.classes is not None:
            self._tell(torch.tensor([self.classes.labels[i] for i in indices], device=self.device))
        is_first = indices[0] == 0 or self.is_first_batch
        if is_first:
            self.chain.frames.clear()  # those of the warm-up

        stride = math.ceil(len(timesteps) * len(self.parts) / LAPS)

        def callback(i: int, t: float, x_t: Tensor, x0_hat: Tensor) -> None:
            self.tick()
            if (i + 1) % stride == 0 and i + 1 < len(timesteps):
                self.batch_times.mark()
                self.marks.append(self.model.evaluations)
            if is_first:
                self.chain(i, t, x_t[: max(0, CHAIN_IMAGES - indices[0])], x0_hat)

        with arithmetic(self.precision, self.device):
            if self.questions is None:
                x_0 = self.sampler.sample(self.model, self.process, x_T, timesteps, noise, callback)
            else:
                model, finish = self.questions.steered(
                    self.model, self.process, indices, timesteps, noise, self.device
                )
                x_0 = finish(
                    self.sampler.sample(model, self.process, x_T, timesteps, noise, callback)
                )
        return self.process.decode(x_0)

    def _tell(self, labels: Tensor) -> None:
        """Have the next samples be of some classes, int64 B, by the network or by a classifier."""
        if self.classifier is not None:
            self.model.towards = ClassGradient(self.classifier, labels, self.guidance)
        elif self.cell.classifier is None:
            self.model.network = Told(self.network, labels, self.guidance, self.none)

    def _check_finite(self, x_0: Tensor, indices: Sequence[int]) -> None:
        finite = x_0.isfinite().flatten(1).all(dim=1)
        if not finite.all():
            index = indices[int((~finite).nonzero()[0])]
            raise BenchmarkError(
                f"{self.cell.id}: sample {index} is not finite: the network or the sampler "
                "diverges; try another sampler, more steps or a network trained longer"
            )
