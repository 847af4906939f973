"""How many images of a cell are kept from a run of fewer of them."""

from __future__ import annotations

from benchmark.config.config import Config
from benchmark.config.dependencies import code
from benchmark.config.jobs.sample import SampleJob
from benchmark.core.errors import BenchmarkError
from benchmark.records.record import Cell
from benchmark.records.sections import ShardIdentity
from benchmark.stages.drawn import drawn_before
from benchmark.stages.sample_inputs import asked_classes, load_network, sources_of
from benchmark.storage.paths import Run


def kept_images(config: Config, cell: Cell, run: Run, device: str) -> int:
    """Return how many images of a cell its job would not draw, since it drew them before.

    Args:
        config: the config.
        cell: the cell, with as many samples as it is to have.
        run: the run.
        device: kind of device on which they will be drawn: cpu or cuda.
    """
    if not run.drawn(cell.id).root.exists():
        return 0
    job = config.job("sample", cell.id)
    assert isinstance(job, SampleJob)
    try:
        loaded = load_network(job, run)
        classes, _ = asked_classes(job, run, loaded)
        identity = ShardIdentity(code=code(job), sources=sources_of(job, run, loaded))
    except (BenchmarkError, OSError):  # weights or data are to be made first
        return 0
    return len(drawn_before(job, run, range(cell.samples), identity, device, classes).images)
