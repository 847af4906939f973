"""Which records, tables and plots a run has once all of its jobs are done."""

from __future__ import annotations

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
    told = any(
        cell.classifier or config.is_told(cell.model) or config.models[cell.model].labels
        for cell in config.cells
    )
    made = {
        "neighbours": bool(config.evaluation.neighbours),
        "answers": any(cell.task for cell in config.cells),
        "best-by-budget": compares_samplers(config.cells),
        "classifiers": bool(config.guides),
        "likelihood": bool(config.likelihoods),
        "classes": told,
    }
    own = sorted({cell.table for cell in config.cells})
    return [*own, *(name for name in TABLES if made.get(name, True))]


def expected_plots(config: Grid) -> list[str]:
    """Return the names of the plots that can be drawn of all records, in the order of PLOTS.

    Those of losses need a training; by level of noise, of a network that tells noise, which a
    generator does not. Times need cells that are sampled here, those along a training its states.
    """
    trained = config.trainings.values()
    processes = (config.schedule(cell.sampling.schedule).process() for cell in trained)
    sampled = any(cell.sampler for cell in config.cells)
    drawn = {
        "loss-curves": bool(trained),
        "denoising-loss": any(process.has_path for process in processes),
        "guidance": any(cell.guidance is not None for cell in config.cells),
        "distance-against-training": any(
            cell.trained_steps and not cell.task for cell in config.cells
        ),
        "time-by-model": sampled,
        "distance-against-evaluations": sampled,
        "distance-against-time": sampled,
    }
    return [name for name in PLOTS if drawn.get(name, True)]
