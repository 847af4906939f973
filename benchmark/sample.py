"""Sample a model and time the sampler alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from benchmark.arrays import write_blocks
from benchmark.config import Config
from benchmark.device import arithmetic, peak_memory, resolve_device, use_threads
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.processes import Array, Process
from benchmark.diffusion.samplers import SAMPLERS, plan
from benchmark.diffusion.schedules import make_process
from benchmark.errors import BenchmarkError
from benchmark.gauges import Laps, gpu_state
from benchmark.images import to_uint8
from benchmark.models.pretrained import Loaded, load_pretrained, load_trained
from benchmark.paths import CACHE, Run
from benchmark.pictures import contact_sheet, save_grid, save_movie, save_png
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
    shape = (cell.samples, cell.resolution, cell.resolution, 3)
    write_blocks(run.samples(name), drawing.batches(), shape, np.uint8)
    timing = drawing.timing()
    images = np.load(run.samples(name), mmap_mode="r")
    save_grid(images, run.grid(name))
    save_png(drawing.chain.picture(images), run.chain(name))
    save_movie(drawing.chain.movie(images), run.movie(name))
    record = Record(
        kind="sample",
        id=name,
        spec=spec,
        spec_hash=spec_hash(spec),
        provenance=provenance(
            watch,
            threads=threads,
            device=device.type,
            precision=config.precision,
            compiled=config.compile,
        ),
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
        if config.compile:
            network.compile()
        clip = config.models[cell.model].clip
        _, sampler, steps = cell.sampling
        options = config.sampler(sampler)
        self.cell = cell
        self.device = device
        starts = range(0, cell.samples, config.sampling_batch)
        self.parts = [range(i, min(i + starts.step, cell.samples)) for i in starts]
        self.laps = Laps(device)  # of the parts that are drawn
        self.precision = config.precision
        self.process = make_process(loaded.schedule)
        self.model = Denoiser(
            network, self.process, loaded.prediction, loaded.clip if clip is None else clip
        )
        self.sampler = SAMPLERS.get(options.kind)
        self.options = options.keywords()
        self.timesteps = plan(self.process, options, steps)
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

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """Yield all samples, uint8 B×H×W×3, and take the times of their batches."""
        self._warm_up()
        for number, indices in enumerate(self.parts, start=1):
            total = len(self.timesteps)
            title = f"sample {self.cell.id}, batch {number} of {len(self.parts)}, step"
            self.progress = track(range(total), total, title)
            with self.laps.lap():
                x_0 = self.draw(indices, self.timesteps)
            self._check_finite(x_0, indices)
            yield to_uint8(x_0).cpu().numpy()

    def timing(self) -> Timing:
        """Return the times of the batches, once all are drawn."""
        clock, throttled = gpu_state(self.device)
        return Timing(
            warmup_batches=len({len(indices) for indices in self.parts}),
            batch=len(self.parts[0]),
            batch_seconds=self.laps.seconds,
            batch_images=[len(indices) for indices in self.parts],
            network_evaluations=self.model.evaluations / self.cell.samples,
            peak_memory_bytes=peak_memory(self.device),
            peak_memory_of="device" if self.device.type == "cuda" else "process",
            joules=self.laps.joules,
            gpu_clock_mhz=clock,
            gpu_throttled=throttled,
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

        with arithmetic(self.precision, self.device):
            x_0 = self.sampler(
                self.model, self.process, x_T, timesteps, noise, callback, **self.options
            )
        return self.process.decode(x_0)

    def _warm_up(self) -> None:
        """Run a few steps on a batch of each size that is timed, so that nothing is timed cold."""
        for indices in {len(indices): indices for indices in self.parts}.values():
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
    config.check_weights(cell.model, cell.sampling.schedule, loaded)
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
