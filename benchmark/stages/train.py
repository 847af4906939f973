"""Train one network from scratch, or continue from the last state of a stopped training."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.config.dependencies import code_by_module
from benchmark.core.canonical import spec_hash
from benchmark.core.seeds import stream_seed
from benchmark.data import Dataset, load_dataset
from benchmark.diffusion.objective import objective
from benchmark.models.weights import save_weights
from benchmark.records.contention import Contention
from benchmark.records.draft import Draft
from benchmark.records.provenance import Stopwatch, Work, created
from benchmark.records.record import Record, read_record
from benchmark.records.sections import Trained
from benchmark.runtime.device import resolve_device, seeded, use_threads
from benchmark.runtime.machine_state import monitor_machine
from benchmark.runtime.one_at_a_time import one_at_a_time, read_if_present
from benchmark.runtime.process_group import (
    ProcessGroup,
    is_launched,
    join_group,
    launch,
    local_device,
)
from benchmark.runtime.stopping import Budget, ignore_signals
from benchmark.runtime.training_state import drop_states_of_other_code
from benchmark.stages.denoising import errors_by_level
from benchmark.stages.trainer import Keep, Trainer, TrainingSet
from benchmark.storage.paths import Run

if TYPE_CHECKING:
    from benchmark.config.jobs.train import TrainJob


def stage(
    job: TrainJob,
    run: Run,
    threads: int = 1,
    processes: int = 1,
    minutes: float | None = None,
) -> Record:
    """Train a network; write its weights and its record.

    Args:
        job: what is trained, and how.
        run: the run into whose folder is written.
        threads: threads of all processes together.
        processes: number of processes that share each batch; if there are several, each runs the
            command line of this program.
        minutes: time limit, from the start of this program; shortly before it, the training saves
            its state and stops. None: there is none.

    Raises:
        BenchmarkError: the loss became NaN or infinite, or a process has died.
        Stopped: a signal or the time limit has stopped the training, and its state is saved.
    """
    if is_launched():  # this is one of the processes that are launched below
        Stopwatch.created = created(os.getppid())  # the command began with the launcher
        return _train(job, run, threads, minutes)
    budget = Budget(minutes, Stopwatch.since_created() or 0.0)
    # Before a GPU is leased: another process that trains the same network may hold it.
    with one_at_a_time(run, job.kind, job.name, job.spec(), budget.is_spent) as made:
        if made is not None:
            return made
        if processes == 1:
            return _train(job, run, threads, minutes)
        device = resolve_device(job.computing.device, processes)
        record = run.record(job.kind, job.name)
        before = read_if_present(record)

        def is_done() -> bool:
            return read_if_present(record) not in (None, before)

        launch(sys.argv[1:], processes, device, is_done)
        return read_record(record)


def _train(job: TrainJob, run: Run, threads: int, minutes: float | None) -> Record:
    """Train in this process, alone or as one of several."""
    device = local_device(resolve_device(job.computing.device))
    draft = Draft(job.kind, job.name, job.spec())
    budget = Budget(minutes, draft.watch.startup or 0.0)
    # The launcher's other processes do the work of this training too.
    monitor = monitor_machine(device, os.getppid() if is_launched() else None)
    with join_group(device) as group:
        threads = max(1, threads // group.size)
        use_threads(threads)
        trainer = _trainer(job, run, group, device)
        trainer.run(job.name, budget, monitor)
        ignore_signals()  # only seconds of work remain
        return _finish(job, run, trainer, draft, threads)


def _trainer(job: TrainJob, run: Run, group: ProcessGroup, device: torch.device) -> Trainer:
    name, settings = job.name, job.settings
    dataset = load_dataset(run.data(job.cell.dataset), verify=True)
    sha256 = dataset.manifest.splits.train.sha256
    state = run.state(spec_hash({**job.spec(), "images": sha256}))
    if group.rank == 0:  # the others read the state only after this process
        drop_states_of_other_code(state, code_by_module(job), f"train {name}")
    with seeded(stream_seed(job.seed, name, "weights")):
        network = job.network.trained(job.cell.resolution).to(device)
    if job.computing.compile:
        network.compile()
    return Trainer(
        network=network,
        loss=objective(
            job.schedule.process(), settings.prediction, settings.loss, **settings.loss_options()
        ),
        data=_training_set(job, dataset, device),
        settings=settings,
        seed=stream_seed(job.seed, name, "batches"),
        state=state,
        precision=job.computing.precision,
        group=group,
        keep=Keep(
            frozenset(job.kept),
            lambda done, weights: save_weights(_kept(state, done), weights, job.spec()),
        ),
    )


def _kept(state: Path, steps: int) -> Path:
    """Return where weights are kept until the training is finished."""
    return state / "kept" / f"{steps}.safetensors"


def _training_set(job: TrainJob, dataset: Dataset, device: torch.device) -> TrainingSet:
    def on_device(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(device)

    images = on_device(dataset.train)
    held_out = on_device(dataset.held_out) if job.settings.held_out_points else None
    classes = job.network.classes
    if classes is None:
        return TrainingSet(images, held_out)
    assert dataset.train_labels is not None
    assert dataset.held_out_labels is not None
    labels, others = (
        on_device(numbers.astype(np.int64))
        for numbers in (dataset.train_labels, dataset.held_out_labels)
    )
    return TrainingSet(images, held_out, labels, others, none=classes)


def _finish(job: TrainJob, run: Run, trainer: Trainer, draft: Draft, threads: int) -> Record:
    """Write the weights and the record of a finished training, if this is the first process."""
    name, group = job.name, trainer.group
    errors = []
    if group.rank == 0:
        save_weights(run.weights(name), trainer.sampled_weights(), draft.spec)
        for steps in job.kept:
            place = run.kept_weights(name, steps)
            place.parent.mkdir(parents=True, exist_ok=True)
            _kept(trainer.state, steps).replace(place)
        if job.keeps_raw:
            raw = run.raw_weights(name)
            raw.parent.mkdir(parents=True, exist_ok=True)
            save_weights(raw, trainer.sampled_weights(raw=True), draft.spec)
        trainer.network.load_state_dict(trainer.averaged)
        dataset = load_dataset(run.data(job.cell.dataset))
        network = trainer.sampled.eval()
        errors = errors_by_level(job, network, dataset, trainer.images.device)
    record = draft.record(
        Work(
            threads=threads,
            processes=group.size,
            device=trainer.images.device.type,
            precision=job.computing.precision,
            compiled=job.computing.compile,
        ),
        values=trainer.values(),
        trained=Trained(
            models=list(job.models),
            schedule=job.cell.schedule,
            dataset=job.cell.dataset,
            parameters=sum(p.numel() for p in trainer.sampled.parameters()),
            images=len(trainer.images),
            batch=trainer.settings.batch,
            steps=trainer.total,
            errors=errors,
        ),
        curve=trainer.curve(),
        step_laps=trainer.step_laps(),
        contention=[Contention.model_validate(part) for part in trainer.progress.contention],
    )
    if group.rank == 0:
        record.write(run.record(job.kind, name))
        # If code or data change later, the training must start from the beginning.
        shutil.rmtree(trainer.state, ignore_errors=True)
    return record
