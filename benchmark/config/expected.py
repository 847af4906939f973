"""Which records, tables and plots a run has once all of its jobs are done."""

from __future__ import annotations

from collections.abc import Callable

from benchmark.config.grid import Grid
from benchmark.core.reserved import TABLES
from benchmark.records.networks import compares_samplers
from benchmark.records.record import Kind
from benchmark.storage.paths import PLOTS


def expected_records(config: Grid) -> list[tuple[Kind, str]]:
    """Return kind and id of every record, in the order of the stages."""
    datasets = sorted({cell.dataset for cell in config.cells})
    cells = [cell.id for cell in config.cells]
    has_controls = bool(config.evaluation.controls)
    made = [config.controls_of(dataset) for dataset in datasets] if has_controls else []
    names: dict[Kind, list[str]] = {
        "data": datasets,
        "train": list(config.trainings),
        "classifier": config.guides,
        "sample": cells,
        "controls": made,
        "features": [*datasets, *cells, *made],
        "metrics": list(config.subjects),
        "retrieval": list(config.subjects) if config.evaluation.neighbours else [],
        "likelihood": list(config.likelihoods),
        "answers": [cell.id for cell in config.cells if cell.task],
    }
    return [(kind, name) for kind, found in names.items() for name in found]


def expected_tables(config: Grid) -> list[str]:
    """Return the names of the tables: those of the grid, and those that every such run has."""
    own = sorted({cell.table for cell in config.cells})
    return [*own, *(name for name in TABLES if _TABLES.get(name, _always)(config))]


def expected_plots(config: Grid) -> list[str]:
    """Return the names of the plots that are drawn of all records, in the order of PLOTS."""
    return [name for name in PLOTS if _PLOTS.get(name, _always)(config)]


def _always(_: Grid) -> bool:
    return True


def _has_classes(config: Grid) -> bool:
    """Tell whether samples of any cell are asked for by class."""
    return any(
        cell.classifier or config.is_told(cell.model) or config.models[cell.model].labels
        for cell in config.cells
    )


def _trains_denoisers(config: Grid) -> bool:
    """Tell whether a network that tells noise is trained, which a generator does not."""
    schedules = (cell.sampling.schedule for cell in config.trainings.values())
    return any(config.schedule(name).process().has_path for name in schedules)


def _samples(config: Grid) -> bool:
    """Tell whether any cell is sampled here, and timed."""
    return any(cell.sampler for cell in config.cells)


# What a run must have for a table or a plot. The others are made of every run.
_TABLES: dict[str, Callable[[Grid], bool]] = {
    "neighbours": lambda config: bool(config.evaluation.neighbours),
    "answers": lambda config: any(cell.task for cell in config.cells),
    "best-by-budget": lambda config: compares_samplers(config.cells),
    "classifiers": lambda config: bool(config.guides),
    "likelihood": lambda config: bool(config.likelihoods),
    "classes": _has_classes,
}
_PLOTS: dict[str, Callable[[Grid], bool]] = {
    "loss-curves": lambda config: bool(config.trainings),
    "denoising-loss": _trains_denoisers,
    "guidance": lambda config: any(cell.guidance is not None for cell in config.cells),
    "distance-against-training": lambda config: any(
        cell.trained_steps and not cell.task for cell in config.cells
    ),
    "time-by-model": _samples,
    "distance-against-evaluations": _samples,
    "distance-against-time": _samples,
}
