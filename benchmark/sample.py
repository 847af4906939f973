"""Sample a model and time the sampler alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from benchmark.atomic import atomic_path
from benchmark.config import Config
from benchmark.device import peak_memory, resolve_device, synchronise, use_threads
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.processes import Array, Process
from benchmark.diffusion.samplers import SAMPLERS, plan
from benchmark.diffusion.schedules import make_process
from benchmark.errors import BenchmarkError
from benchmark.images import to_uint8
from benchmark.models.pretrained import Loaded, load_pretrained, load_trained
from benchmark.paths import CACHE, Run
from benchmark.pictures import contact_sheet, save_movie, save_png
from benchmark.progress import track
from benchmark.records import (
    Cell,
    Checkpoint,
    Record,
    Stopwatch,
    Timing,
    Value,
    provenance,
    spec_hash,
)

GRID_IMAGES, GRID_COLUMNS = 64, 8
CHAIN_IMAGES, CHAIN_FRAMES = 6, 10  # rows and columns of the picture from noise to image
MOVIE_STEPS = 64  # of samplers with at most so many every state is kept for the movie
WARMUP_STEPS = 2


def stage(config: Config, name: str, run: Run, threads: int = 1) -> Record:
    """Sample the cell `name`; write images, pictures and the record with the times.

    Raises:
        BenchmarkError: the weights cannot be loaded, or a sample is not finite.
    """
    watch = Stopwatch()
    device = resolve_device(config.device)
    use_threads(threads)
    cell, spec = config.cell(name), config.sample_spec(name)
    drawing = Drawing(config, cell, run, device)
    images, timing = drawing.all()
    with atomic_path(run.samples(name)) as temporary:
        np.save(temporary, images)
    save_png(contact_sheet(images[:GRID_IMAGES], GRID_COLUMNS), run.grid(name))
    save_png(drawing.chain.picture(images), run.chain(name))
    save_movie(drawing.chain.movie(images), run.movie(name))
    record = Record(
        kind="sample",
        id=name,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(watch, threads=threads, device=device.type),
        cell=cell,
        values={
            "sample_seconds": Value(value=timing.seconds),
            "images_per_second": Value(value=timing.images_per_second),
        },
        timing=timing,
        checkpoint=drawing.checkpoint if cell.trained_as is None else None,
    )
    record.write(run.record("sample", name))
    return record


class Drawing:
    """Draws the samples of a cell, batch by batch.

    Args:
        config: the config of the run.
        cell: what is sampled.
        run: where the weights are.
        device: where the network runs.
    """

    def __init__(self, config: Config, cell: Cell, run: Run, device: torch.device) -> None:
        loaded = load_network(config, cell, run)
        network = loaded.network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        clip = config.models[cell.model].clip
        options = config.sampler(cell.sampler)
        self.cell = cell
        self.device = device
        self.batch = config.sampling_batch
        self.process = make_process(loaded.schedule)
        self.model = Denoiser(
            network, self.process, loaded.prediction, loaded.clip if clip is None else clip
        )
        self.sampler = SAMPLERS.get(options.kind)
        self.options = options.keywords()
        self.timesteps = plan(self.process, options, cell.steps)
        self.chain = Chain(self.process, len(self.timesteps))
        self.progress: Iterator[int] = iter(())
        self.checkpoint = Checkpoint(
            sha256=loaded.sha256,
            name=loaded.name,
            schedule=loaded.schedule.model_dump(mode="json"),
            prediction=loaded.prediction,
            clip=self.model.clip,
            facts=loaded.facts,
        )

    def all(self) -> tuple[NDArray[np.uint8], Timing]:
        """Return all samples, uint8 N×H×W×3, and the times of their batches."""
        count, side = self.cell.samples, self.cell.resolution
        batches = [range(i, min(i + self.batch, count)) for i in range(0, count, self.batch)]
        images = np.empty((count, side, side, 3), np.uint8)
        seconds = []
        self._warm_up(batches[0])
        for number, indices in enumerate(batches, start=1):
            total = len(self.timesteps)
            title = f"sample {self.cell.id}, batch {number} of {len(batches)}, step"
            self.progress = track(range(total), total, title)
            synchronise(self.device)
            start = time.perf_counter()
            x_0 = self.draw(indices, self.timesteps)
            synchronise(self.device)
            seconds.append(time.perf_counter() - start)
            self._check_finite(x_0, indices)
            images[indices.start : indices.stop] = to_uint8(x_0).cpu().numpy()
        return images, Timing(
            warmup_batches=1,
            batch=len(batches[0]),
            batch_seconds=seconds,
            batch_images=[len(indices) for indices in batches],
            network_evaluations=self.model.evaluations / count,
            peak_memory_bytes=peak_memory(self.device),
            peak_memory_of="device" if self.device.type == "cuda" else "process",
        )

    @torch.inference_mode()
    def draw(self, indices: Sequence[int], timesteps: Array) -> Tensor:
        """Return the samples of these indices, B×3×H×W in [-1, 1], whatever is in the batch."""
        shape = (3, self.cell.resolution, self.cell.resolution)
        noise = NoiseStream(self.cell.seed, indices, shape, self.device)
        x_T = self.process.prior(noise()).contiguous(memory_format=torch.channels_last)
        first = indices[0] == 0

        def callback(i: int, t: float, x_t: Tensor, x0_hat: Tensor) -> None:
            next(self.progress, None)
            if first:
                self.chain(i, t, x_t, x0_hat)

        x_0 = self.sampler(
            self.model, self.process, x_T, timesteps, noise, callback, **self.options
        )
        return self.process.decode(x_0)

    def _warm_up(self, indices: Sequence[int]) -> None:
        """Run a few steps on a batch of the size that is timed, so that nothing is timed cold."""
        self.draw(indices, self.timesteps[:WARMUP_STEPS])
        self.model.evaluations = 0
        self.chain.frames.clear()

    def _check_finite(self, x_0: Tensor, indices: Sequence[int]) -> None:
        finite = x_0.isfinite().flatten(1).all(dim=1)
        if not finite.all():
            index = indices[int((~finite).nonzero()[0])]
            raise BenchmarkError(
                f"{self.cell.id}: sample {index} is not finite: the network or the sampler "
                "diverges; try another sampler, more steps or a network trained longer"
            )


def load_network(config: Config, cell: Cell, run: Run) -> Loaded:
    """Return the network of a cell, on the CPU: trained by this run, or one that came ready.

    Raises:
        BenchmarkError: it cannot be loaded, or is not for the cell's resolution and schedule.
    """
    if cell.trained_as is not None:
        return load_trained(run.weights(cell.trained_as))
    weights = config.models[cell.model].weights
    assert weights is not None
    loaded = load_pretrained(weights, run.root.parent / CACHE)
    at = f"models.{cell.model}.weights"
    if loaded.resolution != cell.resolution:
        raise BenchmarkError(
            f"{at}: made for images of {loaded.resolution}×{loaded.resolution}, but those of data."
            f"{cell.dataset} are {cell.resolution}×{cell.resolution}: choose other data"
        )
    named = config.schedules.get(cell.schedule)
    if loaded.schedule.kind != (named.kind if named else cell.schedule):
        raise BenchmarkError(
            f"{at}: trained with the schedule {loaded.schedule.kind}, not {cell.schedule}: "
            "correct the grid"
        )
    if named is not None and named.model_dump() != loaded.schedule.model_dump():
        raise BenchmarkError(
            f"schedules.{cell.schedule}: {at} were trained with "
            f"{loaded.schedule.keywords()}: leave the options out, they come with the weights"
        )
    return loaded


class Chain:
    """Keeps states of the first images on their way from noise: all, or evenly spaced ones.

    Args:
        process: whose states they are.
        steps: of the sampler.
    """

    def __init__(self, process: Process, steps: int) -> None:
        count = steps if steps <= MOVIE_STEPS else CHAIN_FRAMES - 1
        self.wanted = {round(k * steps / count) for k in range(count)}
        self.process = process
        self.frames: list[Tensor] = []

    def __call__(self, i: int, t: float, x_t: Tensor, x0_hat: Tensor) -> None:
        """Keep the state of step `i` where it is one of the frames."""
        if i in self.wanted:
            self.frames.append(x_t[:CHAIN_IMAGES].clone())

    def movie(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return all frames, the final `images` last: uint8, frames×n×H×W×3."""
        states = [to_uint8(self.process.decode(x)).cpu().numpy() for x in self.frames]
        return np.stack([*states, images[: len(self.frames[0])]])

    def picture(self, images: NDArray[np.uint8]) -> Image:
        """Return one row for each of the first images, from noise to the final one in `images`."""
        frames = self.movie(images)
        count = min(CHAIN_FRAMES, len(frames))
        chosen = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
        return contact_sheet(chosen.swapaxes(0, 1).reshape(-1, *chosen.shape[2:]), count)
