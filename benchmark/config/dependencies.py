"""The code that each job depends on: that of its stage, and of the parts that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from benchmark.core.closure import digest, hashes, own_folders
from benchmark.data.controls import CONTROLS
from benchmark.diffusion.losses import LOSSES
from benchmark.extractors import EXTRACTORS

if TYPE_CHECKING:
    from benchmark.config.config import Config

# What a stage reads a run or a bundle with; the others have `records.record` for a JSON file.
_READING = "benchmark.storage.run_files"


def code(config: Config, rule: str, name: str = "") -> str:
    """Return one hash of all code that a job depends on.

    Args:
        config: of the run.
        rule: of the job, a key of `JOBS`.
        name: of what it makes: a data set, a training, a cell, a control.

    Raises:
        BenchmarkError: a module of the user's is missing, or is no Python.
    """
    return digest(JOBS[rule](config, name), own_folders())


def modules(config: Config, rule: str, name: str = "") -> dict[str, str]:
    """Return a hash of each module that a job depends on, by its name; see `code`."""
    return hashes(JOBS[rule](config, name), own_folders())


def _prepare(config: Config, dataset: str) -> list[str]:
    return ["benchmark.stages.prepare", type(config.data[dataset]).__module__]


def _controls(config: Config, dataset: str) -> list[str]:
    return ["benchmark.stages.controls", *_made(config.evaluation.controls)]


def _gather(config: Config, cell: str) -> list[str]:
    source = config.data[config.cell(cell).dataset]
    return ["benchmark.stages.gather", type(source).__module__]


def _train(config: Config, training: str) -> list[str]:
    cell = config.trainings[training]
    process = config.schedule(cell.sampling.schedule).process()
    return [
        "benchmark.stages.train",
        LOSSES.get(process.loss).__module__,
        *_network_of(config, cell.model),
        *_schedule(config, cell.id),
    ]


def _sample(config: Config, cell: str) -> list[str]:
    found = config.cell(cell)
    sampler = config.sampler(found.sampling.sampler)
    return [
        "benchmark.stages.sample",
        type(sampler).__module__,
        *_network_of(config, found.model),
        *_schedule(config, cell),
    ]


def _merge_samples(config: Config, cell: str) -> list[str]:
    return ["benchmark.stages.merge", "benchmark.storage.pictures", *_sample(config, cell)]


def _features(config: Config, name: str) -> list[str]:
    return ["benchmark.stages.features", *_extractor(config)]


def _merge_features(config: Config, cell: str) -> list[str]:
    return ["benchmark.stages.merge", *_features(config, cell)]


def _evaluate(config: Config, name: str) -> list[str]:
    return ["benchmark.stages.evaluate", *_metrics(config), *_extractor(config)]


def _retrieve(config: Config, name: str) -> list[str]:
    kinds = [subject.control.kind for subject in config.judged(name) if subject.control]
    return ["benchmark.stages.retrieve", *_made(kinds), *_extractor(config)]


def _report(module: str) -> Callable[[Config, str], list[str]]:
    return lambda config, name: [module, _READING]


JOBS: dict[str, Callable[[Config, str], list[str]]] = {
    "prepare": _prepare,
    "controls": _controls,
    "gather": _gather,
    "train": _train,
    "sample": _sample,
    "merge_samples": _merge_samples,
    "features": _features,
    "merge_features": _merge_features,
    "evaluate": _evaluate,
    "retrieve": _retrieve,
    "tables": _report("benchmark.report.tables"),
    "plots": _report("benchmark.report.plots"),
    "site": _report("benchmark.report.site"),
    "comparison": lambda config, name: [
        "benchmark.report.compare",
        "benchmark.report.compare_formats",
        _READING,
        *_metrics(config),  # which of two values is better
    ],
}


def _extractor(config: Config) -> list[str]:
    return [EXTRACTORS.get(config.evaluation.extractor).__module__]


def _made(kinds: Iterable[str]) -> list[str]:
    """Return the modules of controls; that of held-out images is not made."""
    return [CONTROLS.get(kind).__module__ for kind in kinds if kind in CONTROLS.classes]


def _metrics(config: Config) -> list[str]:
    return [type(metric).__module__ for metric in config.evaluation.metrics.values()]


def _schedule(config: Config, cell: str) -> list[str]:
    found = config.cell(cell)
    schedule = config.schedule_of(found.model, found.sampling.schedule)
    return [type(schedule).__module__]


def _network_of(config: Config, model: str) -> list[str]:
    """Return what makes the network of a model, and what reads ready weights."""
    recipe = config.recipe(model)
    if recipe is not None:
        return recipe[0].modules(f"networks.{config.models[model].network}")
    weights, described = config.models[model].weights, config.described.get(model)
    # What a hub keeps is not read before the job.
    network = described.spec if described else None
    return [
        type(weights).__module__,
        *(network.modules(f"models.{model}.weights") if network else []),
    ]
