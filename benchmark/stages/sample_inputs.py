"""What the samples of a cell are made from: its network, its classifier, and the classes asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmark.core.errors import BenchmarkError
from benchmark.data.asked import asked
from benchmark.data.prepared import read_manifest
from benchmark.diffusion.samplers import Sampler
from benchmark.models.checkpoints.own import load_trained
from benchmark.models.choices import Choice
from benchmark.models.description import Loaded
from benchmark.records.sections import AskedClasses
from benchmark.storage.paths import CACHE, Run

if TYPE_CHECKING:
    from benchmark.config.jobs.sample import SampleJob
    from benchmark.models.modules.classifier import ClassifierModule
    from benchmark.records.record import Cell


def asked_classes(
    job: SampleJob, run: Run, loaded: Loaded
) -> tuple[AskedClasses | None, int | None]:
    """Return the classes of all samples of a cell, and the number that stands for no class.

    Both are None for a network without classes; the second is None for one that has learnt no such.

    Raises:
        BenchmarkError: the network cannot follow the guidance that the cell asks for.
    """
    guidance, count = job.cell.guidance, loaded.embeddings
    if count is None and guidance is None:
        return None, None
    knows = count is not None or job.cell.classifier is not None
    labels = read_manifest(run.manifest(job.cell.dataset)).labels if knows else None
    none = len(labels.classes) if labels and count == len(labels.classes) + 1 else None
    is_free = none is not None or job.cell.classifier is not None
    if labels is None or (not is_free and guidance not in (None, 1)):
        raise BenchmarkError(
            f"{job.name}: guidance {guidance} needs a network that has learnt classes, and to do "
            f"without, which {loaded.name} has not: leave the guidance out"
        )
    numbers = asked(labels.train, job.cell.samples).tolist()
    return AskedClasses(classes=list(labels.classes), labels=numbers), none


def loaded_classifier(
    job: SampleJob, run: Run, loaded: Loaded, device: torch.device
) -> ClassifierModule | None:
    """Return the classifier that steers the samples of a cell, on the device; None: none does.

    Raises:
        BenchmarkError: it cannot be loaded, or is not for such a network.
    """
    if job.classifier is None:
        return None
    learnt = job.classifier.schedule
    if loaded.embeddings is not None or loaded.schedule.model_dump() != learnt.model_dump():
        raise BenchmarkError(
            f"{job.name}: the classifier {job.classifier.name} steers networks without classes, "
            f"trained with {learnt.model_dump()}, and {loaded.name} is none: choose such a network"
        )
    return job.classifier.load(run).to(device)


def load_network(job: SampleJob, run: Run) -> Loaded:
    """Return the network of a cell on the CPU: trained by this run, or a ready checkpoint.

    Raises:
        BenchmarkError: it cannot be loaded, or is not for the cell's resolution and schedule.
    """
    if job.trained is not None:
        return load_trained(_weights_of(job.trained.name, job.cell, run))
    assert job.ready is not None
    return job.ready.load(run.root.parent / CACHE)


def _weights_of(training: str, cell: Cell, run: Run) -> Path:
    """Return the file of the weights of a training that a cell samples."""
    if cell.raw:
        return run.raw_weights(training)
    if cell.trained_steps:
        return run.kept_weights(training, cell.trained_steps)
    return run.weights(training)


def sources_of(job: SampleJob, run: Run, loaded: Loaded) -> str:
    """Return one SHA-256 of all files that make the samples of a cell what they are.

    Args:
        job: what is sampled.
        run: the run that has the weights and the data.
        loaded: the network of the cell.
    """
    read = [loaded.sha256]
    if job.classifier is not None:
        with run.weights(job.classifier.name).open("rb") as file:
            read.append(hashlib.file_digest(file, "sha256").hexdigest())
    if job.task is not None:
        read.append(read_manifest(run.manifest(job.cell.dataset)).splits.held_out.sha256)
    return hashlib.sha256(" ".join(read).encode()).hexdigest()


def choices_of(loaded: Loaded, sampler: Sampler, clip: bool) -> list[Choice]:
    """Return the settings of a checkpoint that the sampling of this cell does not follow."""
    choices = loaded.choices_with(sampler)
    if loaded.scheduler is not None and clip != loaded.clip:
        here = f"the config says clip {json.dumps(clip)}"
        choices.append(Choice.of("clip_sample", loaded.clip, here))
    return choices
