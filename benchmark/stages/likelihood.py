"""Measure the likelihood of training, held-out and sampled images under a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.core.progress import track
from benchmark.core.seeds import stream_seed
from benchmark.data import load_dataset
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.guidance import Told
from benchmark.diffusion.likelihood import (
    Variance,
    bits_per_dimension,
    log_density,
    variational_bounds,
)
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.processes.base import Array
from benchmark.metrics.uncertainty import mean
from benchmark.models.description import Loaded
from benchmark.records.draft import Draft
from benchmark.records.provenance import Work
from benchmark.records.record import Record
from benchmark.records.sections import Likelihoods, SetLikelihood
from benchmark.runtime.device import arithmetic, placed, resolve_device, use_threads
from benchmark.runtime.memory_retry import in_batches
from benchmark.runtime.model_range import dequantised, to_model_range
from benchmark.stages.image_sets import load_images, load_labels
from benchmark.stages.sample_inputs import load_network
from benchmark.storage.paths import HELD_OUT, Run

if TYPE_CHECKING:
    from benchmark.config.jobs.likelihood import LikelihoodJob

TRAINING = "training"  # name of the set of training images


def stage(job: LikelihoodJob, run: Run, threads: int = 1) -> Record:
    """Measure the likelihood of each set of images; write the record.

    Args:
        job: the network, the sets, and how the likelihood is measured.
        run: the run that has the weights, the samples and the data set.
        threads: threads of one operation.

    Raises:
        BenchmarkError: weights, samples or images are missing or damaged, or one image does not fit
            into memory.
    """
    draft = Draft(job.kind, job.name, job.spec())
    computing, cell = job.network.computing, job.network.cell
    device = resolve_device(computing.device)
    use_threads(threads)
    asking = _Asking(job, load_network(job.network, run), device)
    found = {asked.name: asking.about(asked) for asked in _sets(job, run)}
    variance = _tightest(found[TRAINING].bounds)
    return draft.write(
        run,
        Work(
            threads=threads,
            device=device.type,
            precision=computing.precision,
            compiled=computing.compile,
        ),
        likelihoods=Likelihoods(
            model=cell.model,
            schedule=cell.sampling.schedule,
            dataset=cell.dataset,
            dimensions=asking.dimensions,
            probes=job.settings.probes,
            tolerance=job.settings.tolerance,
            variance=variance,
            sets={name: of.section(variance) for name, of in found.items()},
        ),
    )


class _Set(NamedTuple):
    """Images that a network is asked about, uint8 N×H×W×C, and their classes, N, if they have."""

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.integer] | None


@dataclass(frozen=True)
class _Found:
    """What was found of a set of N images.

    Attributes:
        bits: bits per dimension of each image, N.
        bounds: variational bounds of each image, N, by the variance of a step.
        evaluations: of the network for each image, by the solver, N.
    """

    bits: Array
    bounds: dict[Variance, Array]
    evaluations: Array

    def section(self, variance: Variance | None) -> SetLikelihood:
        """Return the section of the record, with the bound of this variance."""
        bound = self.bounds[variance] if variance else None
        return SetLikelihood(
            images=len(self.bits),
            bits=mean(self.bits),
            bound=None if bound is None else mean(bound),
            evaluations=float(self.evaluations.mean()),
            bits_each=self.bits.tolist(),
            bound_each=None if bound is None else bound.tolist(),
        )


class _Asking:
    """Asks a network about sets of images.

    Args:
        job: how the likelihood is measured.
        loaded: the network.
        device: the device that it is moved to.
    """

    def __init__(self, job: LikelihoodJob, loaded: Loaded, device: torch.device) -> None:
        network = placed(loaded.network, device)
        network.requires_grad_(False)  # gradients are for the images alone
        if job.network.computing.compile:
            network.compile()
        self.job, self.loaded, self.network, self.device = job, loaded, network, device
        self.process = loaded.schedule.process()
        side = job.network.cell.resolution
        self.shape = (job.network.channels, side, side)
        self.dimensions = job.network.channels * side * side

    def about(self, asked: _Set) -> _Found:
        """Return the likelihood of each image of a set."""
        size, count = self.job.network.batch, len(asked.images)
        batches = [range(i, min(i + size, count)) for i in range(0, count, size)]
        title = f"likelihood {self.job.name}, {asked.name}"
        found = list(track(self._parts(batches, asked, title), len(batches), title))
        return _Found(
            np.concatenate([part.bits for part in found]),
            {
                name: np.concatenate([part.bounds[name] for part in found])
                for name in found[0].bounds
            },
            np.concatenate([part.evaluations for part in found]),
        )

    def _parts(self, batches: list[range], asked: _Set, title: str) -> Iterator[_Found]:
        return in_batches(batches, lambda rows: self._batch(asked, rows), title)

    def _batch(self, asked: _Set, rows: range) -> _Found:
        images = torch.from_numpy(asked.images[rows.start : rows.stop].copy()).to(self.device)
        x_0, settings = to_model_range(images), self.job.settings
        model = self._model(asked, rows, clip=False)  # else the slope has kinks
        uniform = torch.special.ndtr(self._noise(asked, rows, "dequantisation")())
        probe = self._noise(asked, rows, "probes")
        signs = [probe().sign() for _ in range(settings.probes)]  # Rademacher's
        with arithmetic(self.job.network.computing.precision, self.device):
            found = log_density(
                model,
                self.process,
                self.process.encode(dequantised(x_0, uniform)),
                signs or None,
                settings.tolerance,
            )
            bounds = self._bounds(asked, rows, x_0) if settings.bound else {}
        bits = bits_per_dimension(self.process, found.log, self.dimensions)
        return _Found(bits, bounds, np.full(len(rows), float(found.evaluations)))

    @torch.no_grad()
    def _bounds(self, asked: _Set, rows: range, x_0: Tensor) -> dict[Variance, Array]:
        if self.process.family != "vp-discrete":
            return {}
        clip = self.job.network.clip
        model = self._model(asked, rows, self.loaded.clip if clip is None else clip)
        return variational_bounds(model, self.process, x_0, self._noise(asked, rows, "bound"))

    def _model(self, asked: _Set, rows: range, clip: bool) -> Denoiser:
        """Return the network, told the classes of these images if it knows any."""
        told: nn.Module | Told = self.network
        if self.loaded.embeddings is not None:
            assert asked.labels is not None
            labels = torch.from_numpy(asked.labels[rows.start : rows.stop].astype(np.int64))
            told = Told(self.network, labels.to(self.device))
        return Denoiser(told, self.process, self.loaded.prediction, clip)

    def _noise(self, asked: _Set, rows: range, purpose: str) -> NoiseStream:
        seed = stream_seed(self.job.seed, self.job.name, asked.name, purpose)
        return NoiseStream(seed, rows, self.shape, self.device)


def _sets(job: LikelihoodJob, run: Run) -> Iterator[_Set]:
    """Yield the first images of each set."""
    cell, count = job.network.cell, job.settings.images
    data = load_dataset(run.data(cell.dataset), verify=True)
    for name, images, own in (
        (TRAINING, data.train, data.train_labels),
        (HELD_OUT, data.held_out, data.held_out_labels),
    ):
        yield _Set(name, images[:count], None if own is None else own[:count])
    for subject in job.subjects:
        known = load_labels(subject, run)
        labels = known[1][:count] if known else None
        yield _Set(subject.name, load_images(subject, run)[:count], labels)


def _tightest(bounds: dict[Variance, Array]) -> Variance | None:
    """Return the variance of a step by which the bound is lowest; None: there is no bound."""
    return min(bounds, key=lambda name: float(bounds[name].mean()), default=None)
