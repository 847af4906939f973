"""Checks that a whole config fits together.

Each check raises a ValueError whose text begins with the key.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from benchmark.config.checks import (
    LEAST_IMAGES,
    check_adversary,
    check_classes,
    check_data,
    check_guidance,
    check_learned,
    check_loss,
    check_plan,
    known,
)
from benchmark.config.classifiers import check_classifier, check_steered
from benchmark.config.grid import Grid
from benchmark.config.likelihoods import check_likelihood
from benchmark.config.schema import Entry
from benchmark.config.tasks import check_counts, check_method, check_task
from benchmark.core.errors import BenchmarkError
from benchmark.core.reserved import COLUMNS, TABLES
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.extractors import EXTRACTORS
from benchmark.metrics import Sizes
from benchmark.storage.paths import ALL_CONTROLS, HELD_OUT


def check_config(config: Grid) -> None:
    """Refuse a config whose keys do not fit together.

    Raises:
        ValueError: they do not; the message begins with the key.
    """
    for name, source in config.data.items():
        check_data(f"data.{name}", source)
    for name, model in config.models.items():
        at = f"models.{name}"
        known(f"{at}.data", model.data, config.data)
        if model.labels is not None and not config.classes_of(model.data):
            raise ValueError(
                f"{at}.labels: data.{model.data} has no labels: choose data that have, or leave "
                "it out"
            )
        if model.network is None or model.training is None:
            continue
        known(f"{at}.network", model.network, config.networks)
        known(f"{at}.training", model.training, config.training)
        network, source = config.networks[model.network], config.data[model.data]
        network = network.of_channels(source.channels)
        network.check_fits(f"{at}.network", source.resolution, source.channels)
        if network.classes is not None:
            found = len(config.classes_of(model.data))
            named = f"networks.{model.network}.classes"
            check_classes(named, network.classes, f"data.{model.data}", found)
    for name in config.classifiers:
        check_classifier(config, name)
    known("evaluation.extractor", config.evaluation.extractor, EXTRACTORS.classes)
    for index, entry in enumerate(config.grid):
        _check_entry(config, f"grid.{index}", entry)
    _check_cells(config)
    if config.likelihood:
        check_likelihood(config, config.likelihood)


def _check_entry(config: Grid, at: str, entry: Entry) -> None:
    if entry.table in TABLES:
        raise ValueError(f"{at}.table: every run has a table {entry.table}: choose another name")
    for model in entry.model:
        known(f"{at}.model", model, config.models)
        _check_keys(config, at, entry, model)
    for schedule, sampler in itertools.product(entry.schedule, entry.sampler):
        known(f"{at}.schedule", schedule, config.schedules, SCHEDULES.names())
        known(f"{at}.sampler", sampler, config.samplers, SAMPLERS.names())
    if entry.classifier:
        check_steered(config, at, entry)
    else:
        _check_guided(config, at, entry)
    for model, schedule in itertools.product(entry.model, entry.schedule):
        _check_model(config, model, schedule)
        for sampler in entry.sampler:
            sampled_with = config.schedule_of(model, schedule)
            described = config.described.get(model)
            trained = config.network_and_training(model)
            network = trained[0] if trained else None
            made = config.sampler(sampler)
            check_plan(sampled_with, sampler, made, entry.steps, at, described, network)
    _check_tasks(config, at, entry)


def _check_tasks(config: Grid, at: str, entry: Entry) -> None:
    """Refuse tasks that do not fit the images, the samplers or the number of samples."""
    for index, task in enumerate(entry.task):
        key = f"{at}.task.{index}" if len(entry.task) > 1 else f"{at}.task"
        for model in entry.model:
            source = config.data[config.models[model].data]
            check_task(key, task, source.resolution, source.channels)
            check_counts(at, task, entry.samples, source.held_out)
        for schedule in entry.schedule:
            if not config.schedule(schedule).process().has_path:
                raise ValueError(
                    f"{key}: on the schedule {schedule} an image is made at once, with no score "
                    "that a task could steer: leave it out"
                )
        for sampler, steps in itertools.product(entry.sampler, entry.steps):
            check_method(key, task, config.sampler(sampler), steps)


def _check_keys(config: Grid, at: str, entry: Entry, model: str) -> None:
    """Refuse a missing key of sampling, and such a key for images that were made elsewhere."""
    ready = config.models[model].images is not None
    for key, why in [] if ready else entry.lacking_of_sampling(dict(entry)):
        raise ValueError(f"{at}.{key}: {why}")
    for key in ("schedule", "sampler", "steps", "guidance", "classifier"):
        if getattr(entry, key) and ready:
            raise ValueError(
                f"{at}.{key}: models.{model}.images were made elsewhere: leave it out, and "
                "give other models an entry of their own"
            )
    if entry.task and ready:
        raise ValueError(
            f"{at}.task: models.{model}.images were made elsewhere, and have no score that a task "
            "could steer: leave it out"
        )
    if entry.shard and ready:
        raise ValueError(
            f"{at}.shard: models.{model}.images are gathered, not sampled: leave it out"
        )


def _check_guided(config: Grid, at: str, entry: Entry) -> None:
    """Refuse guidance of networks that know no classes, or not what is without one."""
    for model in entry.model if entry.guidance else []:
        _check_guided_model(config, at, entry, model)


def _check_guided_model(config: Grid, at: str, entry: Entry, model: str) -> None:
    spec, trained = config.models[model], config.network_and_training(model)
    if trained is not None:
        network, training = trained
        learnt, remedy = network.classes, f"training.{spec.training}.label_dropout above 0"
        knows_none = training.label_dropout > 0
        named = f"networks.{spec.network}"
    elif (described := config.described.get(model)) is not None:
        learnt, remedy = described.embeddings, "weights that were trained with dropped labels"
        knows_none = learnt == len(config.classes_of(spec.data)) + 1
        named = f"models.{model}.weights"
    else:  # weights on a hub, which the job checks
        return
    check_guidance(f"{at}.guidance", entry.guidance, named, learnt is not None, knows_none, remedy)


def _check_model(config: Grid, model: str, schedule: str) -> None:
    """Refuse a network, trained or ready, that does not fit the schedule."""
    trained = config.network_and_training(model)
    if trained is None:
        _check_described(config, model, schedule)
        return
    process = config.schedule(schedule).process()
    network, training = trained
    named, at = (
        f"networks.{config.models[model].network}",
        f"training.{config.models[model].training}",
    )
    network.check_process(named, schedule, process)
    check_loss(at, training, schedule, process, config.compile)
    check_adversary(at, training, named, network, schedule, process)
    check_learned(at, training, named, network)


def _check_described(config: Grid, model: str, schedule: str) -> None:
    weights = config.described.get(model)
    if weights is None:
        return
    try:
        config.ready(model, schedule).check(weights)
    except BenchmarkError as error:
        raise ValueError(str(error)) from None
    at, spec = f"models.{model}.weights", config.models[model]
    if weights.spec is not None:
        source = config.data[spec.data]
        weights.spec.check_fits(at, source.resolution, source.channels)
    assert spec.weights is not None
    spec.weights.check_process(at, weights, schedule, weights.schedule.process())


def _check_cells(config: Grid) -> None:
    seen: set[str] = set()
    trained: dict[str, dict[str, Any]] = {}
    for cell in config.cells:
        spec = {"model": config.weights_of(cell.model), "schedule": cell.schedule}
        if cell.trained_as and trained.setdefault(cell.trained_as, spec) != spec:
            raise ValueError(
                f"grid: two trainings are both called {cell.trained_as}: rename a model"
            )
        if cell.id in seen:
            raise ValueError(f"grid: the cell {cell.id} is named twice: keep one of the two")
        seen.add(cell.id)
        images = config.data[cell.dataset].train
        if config.evaluation.neighbours > images:
            raise ValueError(
                f"evaluation.neighbours: {config.evaluation.neighbours} neighbours cannot be "
                f"found among the {images} training images of data.{cell.dataset}"
            )
    _check_subjects(config)
    _check_case(config)


def _check_case(config: Grid) -> None:
    """Refuse names of files that differ only in case, which some file systems ignore."""
    tables = dict.fromkeys(entry.table for entry in config.grid)
    ids = [*config.subjects, *map(config.controls_of, config.data), *config.data]
    kinds: dict[str, Iterable[str]] = {
        "data": config.data,
        "models": config.models,
        "networks": config.networks,
        "training": config.training,
        "classifiers": config.classifiers,
        "schedules": config.schedules,
        "samplers": config.samplers,
        "evaluation.metrics": [*config.evaluation.metrics, *COLUMNS],
        "grid: table": [*tables, *TABLES],
        "grid: training": [*config.trainings, *config.classifiers],
        "grid: cell, data set or control": ids,
    }
    for at, names in kinds.items():
        seen: dict[str, str] = {}
        for name in names:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                raise ValueError(
                    f"{at}: {name} and {other} differ in case alone, which not every file "
                    "system tells: rename one"
                )


def _check_subjects(config: Grid) -> None:
    kinds = [HELD_OUT, ALL_CONTROLS, *config.evaluation.controls]
    controls = {f"{kind}-{data}" for kind in kinds for data in config.data}
    for name in sorted(controls.intersection(config.data)):
        raise ValueError(f"data.{name}: this is the name of a control: rename it")
    for cell in config.cells:
        if cell.id in config.data or cell.id in controls:
            raise ValueError(
                f"grid: the cell {cell.id} has the name of a data set or a control: rename it"
            )
    most = max(cell.samples for cell in config.cells)
    if config.evaluation.sizes and max(config.evaluation.sizes) > most:
        raise ValueError(f"evaluation.sizes: no cell has more than {most} samples")
    for data in {cell.dataset for cell in config.cells}:
        if config.evaluation.controls and config.control_count(data) < LEAST_IMAGES:
            raise ValueError(
                f"evaluation.controls: data.{data} has too few training images: at least "
                f"{2 * LEAST_IMAGES}, or controls: []"
            )
    _check_metrics(config)


def _check_metrics(config: Grid) -> None:
    """Refuse a metric for which a cell or a control has too few images."""
    for name, metric in config.evaluation.metrics.items():
        for data in sorted({cell.dataset for cell in config.cells}):
            if metric.takes == "classes" and not config.classes_of(data):
                raise ValueError(
                    f"evaluation.metrics.{name}: data.{data} has no labels, which are the modes: "
                    "choose data that have, or leave the metric out"
                )
    dimension = EXTRACTORS.make(config.evaluation.extractor).dimension
    seen: set[Sizes] = set()
    for subject in config.subjects.values():
        sizes = Sizes(subject.count, config.data[subject.dataset].train, dimension)
        if sizes in seen:
            continue
        seen.add(sizes)
        for name, metric in config.evaluation.metrics.items():
            try:
                metric.check_sizes(sizes)
            except BenchmarkError as error:
                raise ValueError(
                    f"evaluation.metrics.{name}: {subject.name}: {error}; change its options, "
                    "the numbers of images, or leave the metric out"
                ) from None
