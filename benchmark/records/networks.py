"""Which cells are of one network, and whether they compare samplers on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from benchmark.records.record import Cell


def network_of(cell: Cell) -> tuple[object, ...]:
    """Return what the cells of one network, guided alike, have in common."""
    return cell.family, cell.model, cell.weights, cell.trained_as, cell.scale


def compares_samplers(cells: Iterable[Cell]) -> bool:
    """Tell whether two samplers run on one network, each at two numbers of steps or more.

    Only such a run has the table of the best. The schedule counts as a part of the sampler.
    """
    settings = {(network_of(c), (c.schedule, c.sampler), c.steps) for c in cells if c.sampler}
    steps = Counter((network, sampler) for network, sampler, _ in settings)
    samplers = Counter(network for (network, _), count in steps.items() if count > 1)
    return any(count > 1 for count in samplers.values())
