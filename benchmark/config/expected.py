"""Which records a run has once all of its jobs are done."""

from __future__ import annotations

from benchmark.config.grid import Grid
from benchmark.records.record import Kind


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
