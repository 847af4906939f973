"""What a plot of distance against cost shows: its lines and their points, without a pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import across_seeds
from benchmark.records.networks import network_of
from benchmark.records.record import Cell
from benchmark.records.rows import (
    Row,
    common_size,
    comparable,
    floor_of,
    name_of,
    rank_of,
    seconds_per_image,
    title_of,
)
from benchmark.report.formats import BUSY, significant
from benchmark.report.pareto import pareto
from benchmark.report.verdict_tables import interval


@dataclass(frozen=True)
class CostPoint:
    """A setting in the plane of cost and distance; its seeds are one point.

    Attributes:
        cell: the first of its seeds.
        cost: what an image of it costs.
        distance: its distance, of all seeds together.
        busy: why the cost says nothing of the sampler; empty: nothing speaks against it.
        text: all of it in a few lines.
    """

    cell: Cell
    cost: Value
    distance: Value
    busy: str
    text: str

    @property
    def place(self) -> tuple[float, float]:
        """Cost and distance."""
        return self.cost.value, self.distance.value


@dataclass(frozen=True)
class CostLine:
    """The points of one sampler on one network, by their steps."""

    points: list[CostPoint]

    @property
    def cell(self) -> Cell:
        """The cell of the fewest steps."""
        return self.points[0].cell

    @property
    def steps(self) -> str:
        """The steps of all points; a mark stands behind those that were timed on a busy machine."""
        return "/".join(f"{point.cell.steps}{BUSY * bool(point.busy)}" for point in self.points)


@dataclass(frozen=True)
class Plane:
    """All that can be compared: one data set at one resolution, measured in one way.

    Attributes:
        data: the data set and its resolution.
        label: what the distance is called.
        n: the number of images of which all distances are.
        floor: the distance of as many held-out images, where that was measured.
        families: the lines of each family.
        front: the places to which no other is at least equal in both.
        left_out: the settings that were not measured at this number of images.
    """

    data: str
    label: str
    n: int
    floor: Value | None
    families: dict[str, list[CostLine]]
    front: frozenset[tuple[float, float]]
    left_out: list[str]

    @property
    def points(self) -> list[CostPoint]:
        """All points."""
        return [p for lines in self.families.values() for line in lines for p in line.points]


Cost = Callable[[Sequence[Row]], Value]


def seconds(seeds: Sequence[Row]) -> Value:
    """Return the seconds per image, all seeds together."""
    return seconds_per_image(r.sample.timing for r in seeds if r.sample and r.sample.timing)


def evaluations(seeds: Sequence[Row]) -> Value:
    """Return the network evaluations per image; those of an adaptive solver differ by seed."""
    timings = [row.sample.timing for row in seeds if row.sample and row.sample.timing]
    return Value(value=sum(timing.network_evaluations for timing in timings) / len(timings))


def planes(rows: Sequence[Row], cost: Cost) -> list[Plane]:
    """Return what can be compared, each at the number of images at which most are measured.

    A cost that was taken on a busy machine beats none.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.cell is None or row.cell.is_state:
            continue
        if row.distances and row.sample and row.sample.timing:
            groups.setdefault((*comparable(row), row.cell.resolution), []).append(row)
    return [_plane(group, rows, cost) for group in groups.values()]


def _plane(group: Sequence[Row], rows: Sequence[Row], cost: Cost) -> Plane:
    n = common_size(group)
    assert n
    measured = [row for row in group if n in row.distances]
    points = [_point(seeds, n, cost) for seeds in _grouped(measured, "steps").values()]
    lines = [
        CostLine(sorted((p for p in points if p.cell in cells), key=lambda p: p.cell.steps or 0))
        for cells in ([row.cell for row in line] for line in _grouped(measured).values())
    ]
    lines.sort(key=lambda line: rank_of(line.cell))
    first = group[0]
    assert first.cell
    assert first.protocol
    return Plane(
        data=f"{first.dataset} at {first.cell.resolution}×{first.cell.resolution}",
        label=first.protocol.label,
        n=n,
        floor=floor_of(first, rows, n),
        families={
            family: [line for line in lines if line.cell.family == family]
            for family in dict.fromkeys(line.cell.family for line in lines)
        },
        front=frozenset(pareto([point.place for point in points if not point.busy])),
        left_out=[name_of(row.cell) for row in group if row.cell and n not in row.distances],
    )


def _grouped(rows: Iterable[Row], *more: str) -> dict[tuple[object, ...], list[Row]]:
    """Group rows of one network and sampler, and of more that must be equal."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if cell := row.cell:
            rest = (getattr(cell, name) for name in ("schedule", "sampler", *more))
            groups.setdefault((*network_of(cell), *rest), []).append(row)
    return groups


def _point(seeds: Sequence[Row], n: int, cost: Cost) -> CostPoint:
    cell, distance = seeds[0].cell, across_seeds([row.distances[n] for row in seeds])
    assert cell
    busy = next((row.busy for row in seeds if row.busy), "")
    mark = f" {BUSY}" * bool(busy)
    text = [
        title_of(cell) + f", {len(seeds)} seeds" * (len(seeds) > 1),
        f"distance {interval(distance)}",
        f"{interval(seconds(seeds))} s{mark} an image, "
        f"{significant(evaluations(seeds).value)} evaluations",
        *([f"{BUSY} machine was busy: {busy}"] if busy else []),
    ]
    busy = busy if cost is seconds else ""
    return CostPoint(cell, cost(seeds), distance, busy, "\n".join(text))
