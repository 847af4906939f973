"""Points of cost and distance, and those of them that no other beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.core.values import Value
from benchmark.records.record import Cell


@dataclass(frozen=True)
class CostPoint:
    """A cell in the plane of time and distance; a busy one was timed on a busy machine."""

    seconds: Value
    distance: Value
    cell: Cell
    label: str
    busy: bool = False

    @property
    def x(self) -> float:
        """The seconds per image."""
        return self.seconds.value

    @property
    def y(self) -> float:
        """The distance."""
        return self.distance.value


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in both coordinates (lower is better), by the first."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def front_of(points: Iterable[CostPoint]) -> list[tuple[float, float]]:
    """Return the points that no other beats, of those that were timed on a quiet machine."""
    return pareto([(point.x, point.y) for point in points if not point.busy])
