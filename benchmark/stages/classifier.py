"""Train a classifier of noisy images, whose gradient can steer samplers."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from benchmark.config.dependencies import code_by_module
from benchmark.core.canonical import spec_hash
from benchmark.core.seeds import stream_seed
from benchmark.data import Dataset, load_dataset
from benchmark.diffusion.classifier import LEVELS, cross_entropy, right_at
from benchmark.diffusion.noise_levels import times_of_levels
from benchmark.metrics.uncertainty import proportion
from benchmark.models.weights import save_weights
from benchmark.records.contention import Contention
from benchmark.records.draft import Draft
from benchmark.records.provenance import Stopwatch, Work
from benchmark.records.record import Record
from benchmark.records.sections import AtLevel, Classified
from benchmark.runtime.device import arithmetic, resolve_device, seeded, use_threads
from benchmark.runtime.machine_state import monitor_machine
from benchmark.runtime.model_range import to_model_range
from benchmark.runtime.one_at_a_time import one_at_a_time
from benchmark.runtime.stopping import Budget, ignore_signals
from benchmark.runtime.training_state import drop_states_of_other_code
from benchmark.stages.trainer import Trainer, TrainingSet
from benchmark.storage.paths import Run

if TYPE_CHECKING:
    from benchmark.config.jobs.classifier import ClassifierJob
    from benchmark.models.modules.classifier import ClassifierModule

BATCH = 256  # held-out images that are classified together


def stage(job: ClassifierJob, run: Run, threads: int = 1, minutes: float | None = None) -> Record:
    """Train a classifier; write its weights, and its record with its accuracy by level of noise.

    Args:
        job: what is trained, and how.
        run: the run into whose folder is written.
        threads: threads of one operation.
        minutes: time limit, from the start of this program; shortly before it, the training saves
            its state and stops. None: there is none.

    Raises:
        BenchmarkError: the loss became NaN or infinite.
        Stopped: a signal or the time limit has stopped the training, and its state is saved.
    """
    budget = Budget(minutes, Stopwatch.since_created() or 0.0)
    with one_at_a_time(run, job.kind, job.name, job.spec(), budget.is_spent) as made:
        return _train(job, run, threads, budget) if made is None else made


def _train(job: ClassifierJob, run: Run, threads: int, budget: Budget) -> Record:
    device = resolve_device(job.computing.device)
    draft = Draft(job.kind, job.name, job.spec())
    monitor = monitor_machine(device)
    use_threads(threads)
    dataset = load_dataset(run.data(job.dataset), verify=True)
    trainer = _trainer(job, run, dataset, device)
    trainer.run(job.name, budget, monitor)
    ignore_signals()  # only seconds of work remain
    save_weights(run.weights(job.name), trainer.averaged, draft.spec)
    trainer.network.load_state_dict(trainer.averaged)
    record = draft.write(
        run,
        Work(
            threads=threads,
            device=device.type,
            precision=job.computing.precision,
            compiled=job.computing.compile,
        ),
        values=trainer.values(),
        classified=_section(job, trainer, dataset),
        curve=trainer.curve(),
        step_laps=trainer.step_laps(),
        contention=[Contention.model_validate(part) for part in trainer.progress.contention],
    )
    shutil.rmtree(trainer.state, ignore_errors=True)
    return record


def _trainer(job: ClassifierJob, run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    images, labels = _on_device(dataset.train, dataset.train_labels, device)
    held_out = _on_device(dataset.held_out, dataset.held_out_labels, device)
    state = run.state(spec_hash({**job.spec(), "images": dataset.manifest.splits.train.sha256}))
    drop_states_of_other_code(state, code_by_module(job), f"classifier {job.name}")
    with seeded(stream_seed(job.seed, job.name, "weights")):
        network = job.build().to(device)
    if job.computing.compile:
        network.compile()
    return Trainer(
        network=network,
        loss=cross_entropy(job.schedule.process()),
        data=TrainingSet(images, *held_out[:1], labels, *held_out[1:])
        if job.settings.held_out_points
        else TrainingSet(images, labels=labels),
        settings=job.settings.model_copy(update={"label_dropout": 0.0}),
        seed=stream_seed(job.seed, job.name, "batches"),
        state=state,
        precision=job.computing.precision,
    )


def _on_device(
    images: np.ndarray, labels: np.ndarray | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return images, uint8 N×H×W×C, and the numbers of their classes, int64 N, on the device."""
    assert labels is not None
    numbers = torch.from_numpy(labels.astype(np.int64))
    return torch.from_numpy(images.copy()).to(device), numbers.to(device)


def _section(job: ClassifierJob, trainer: Trainer, dataset: Dataset) -> Classified:
    """Return what was trained, and how often it is right about held-out images."""
    assert dataset.manifest.labels is not None
    return Classified(
        dataset=job.dataset,
        schedule=job.schedule_name,
        classes=list(dataset.manifest.labels.classes),
        parameters=sum(p.numel() for p in trainer.network.parameters()),
        images=len(trainer.images),
        batch=trainer.settings.batch,
        steps=trainer.total,
        held_out=len(dataset.held_out),
        levels=_levels(job, trainer, dataset),
    )


@torch.inference_mode()
def _levels(job: ClassifierJob, trainer: Trainer, dataset: Dataset) -> list[AtLevel]:
    """Return the accuracy on held-out images at each level of noise."""
    network, device = cast("ClassifierModule", trainer.network.eval()), trainer.images.device
    process = job.schedule.process()
    images, labels = _on_device(dataset.held_out, dataset.held_out_labels, device)
    seed = stream_seed(job.seed, job.name, "held-out accuracy")
    generator = torch.Generator(device).manual_seed(seed)
    found = []
    for time in times_of_levels(process, LEVELS):
        right = []
        for rows in torch.split(torch.arange(len(images), device=device), BATCH):
            x_0 = to_model_range(images[rows])
            with arithmetic(job.computing.precision, device):
                right.append(
                    right_at(network.log_probabilities, process, time, x_0, labels[rows], generator)
                )
        noise = float(process.sigma(time)) / float(process.alpha(time))
        accuracy = proportion(torch.cat(right).cpu().numpy())
        found.append(AtLevel(time=time, noise=noise, accuracy=accuracy))
    return found
