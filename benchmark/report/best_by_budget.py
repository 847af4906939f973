"""The table of the best sampler for each number of network evaluations that an image may cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmark.metrics.uncertainty import differs
from benchmark.records.networks import network_of
from benchmark.records.rows import Row, name_of
from benchmark.report.captions import data_line, few_lines, protocol_line
from benchmark.report.columns import IDENTITY, row_labels
from benchmark.report.formats import Column, Table, TableEntry
from benchmark.report.planes import CostLine, CostPoint, Plane, evaluations, planes
from benchmark.report.results_table import EVALUATIONS, FLOOR, marked

NAME = "best-by-budget"

_LABEL, *_CELL = [column for column in IDENTITY if column.key not in ("cell", "seed")]
BUDGET = [
    Column("budget", "evaluations at most"),
    Column("compared", "samplers compared"),
    Column("alike", "cannot be told apart from it (steps)", number=False, width="5cm"),
]


@dataclass(frozen=True)
class Choice:
    """The best sampler of a network within a budget.

    Attributes:
        budget: the most network evaluations that an image may cost.
        best: the setting of the lowest distance; of equal ones the cheapest.
        alike: the settings of other samplers that cannot be told apart from it, the best first.
        compared: the number of samplers that have a setting within the budget.
    """

    budget: int
    best: CostPoint
    alike: list[CostPoint]
    compared: int


def choices(lines: Sequence[CostLine]) -> list[Choice]:
    """Return the best sampler of one network for each budget.

    Args:
        lines: the samplers of the network; every distance has an interval.
    """
    return [_choose(lines, budget) for budget in _budgets(lines)]


def best_by_budget_table(rows: Sequence[Row]) -> Table:
    """Return the best sampler of each network for each budget, at one number of images."""
    found = planes(rows, evaluations)
    labels = dict.fromkeys(plane.label for plane in found)
    columns = [
        *(_LABEL, BUDGET[0], *_CELL, EVALUATIONS),
        *(Column(label, label) for label in labels),
        *(FLOOR, *BUDGET[1:]),
    ]
    sampled = {row.cell.id: row for row in rows if row.cell}
    label = row_labels(sampled.values())
    entries = [
        {"label": label(row), **_entries(choice, plane, lines, row)}
        for plane in found
        for lines in _networks(plane)
        for choice in choices(lines)
        for row in [sampled[choice.best.cell.id]]
    ]
    return Table(NAME, _caption(found), columns, entries, _legend(rows, found))


def _budgets(lines: Sequence[CostLine]) -> list[int]:
    """Return the usual numbers of evaluations, and the largest.

    Usual are those that more than half as many samplers take as take the most usual one, so that a
    sampler that takes 19 where others take 20 does not add a budget.
    """
    counts = Counter(cost for line in lines for cost in {_rounded_up(p) for p in line.points})
    half = max(counts.values()) / 2
    return sorted({cost for cost, count in counts.items() if count > half} | {max(counts)})


def _rounded_up(point: CostPoint) -> int:
    """Return the evaluations of a point, of which an adaptive solver has a mean."""
    return math.ceil(point.cost.value)


def _choose(lines: Sequence[CostLine], budget: int) -> Choice:
    affordable = [[p for p in line.points if p.cost.value <= budget] for line in lines]
    lowest = sorted((min(points, key=_order) for points in affordable if points), key=_order)
    best, *others = lowest
    alike = [p for p in others if not differs(best.distance, p.distance, tests=len(others))]
    return Choice(budget, best, alike, len(lowest))


def _order(point: CostPoint) -> tuple[float, float]:
    return point.distance.value, point.cost.value


def _networks(plane: Plane) -> Iterator[list[CostLine]]:
    """Yield the samplers of each network that has several, without distances without interval."""
    networks: dict[tuple[object, ...], list[CostLine]] = {}
    for lines in plane.families.values():
        for line in lines:
            if points := [point for point in line.points if point.distance.low is not None]:
                networks.setdefault(network_of(line.cell), []).append(replace(line, points=points))
    yield from (lines for lines in networks.values() if len(lines) > 1)


def _entries(
    choice: Choice, plane: Plane, lines: Sequence[CostLine], row: Row
) -> dict[str, TableEntry]:
    spent, cell = choice.best.cost.value, choice.best.cell
    several = len({line.cell.schedule for line in lines}) > 1
    alike = (
        f"{other.cell.schedule} " * several + f"{other.cell.sampler} ({other.cell.steps})"
        for other in choice.alike
    )
    return {
        **cell.model_dump(include={column.key for column in _CELL}),
        "samples": plane.n,
        "budget": choice.budget,
        "network_evaluations": int(spent) if spent.is_integer() else spent,
        plane.label: marked(row, choice.best.distance, plane.n),
        "floor": marked(row, plane.floor, plane.n) if plane.floor else None,
        "compared": choice.compared,
        "alike": ", ".join(alike),
    }


def _caption(found: Sequence[Plane]) -> list[str]:
    return [
        "The best sampler for each number of network evaluations that an image may cost.",
        data_line(f"{plane.data}, n = {plane.n} for all samplers" for plane in found),
    ]


def _legend(rows: Sequence[Row], found: Sequence[Plane]) -> list[str]:
    lines: list[str] = []
    lines += dict.fromkeys(protocol_line(row.protocol) for row in rows if row.protocol)
    lines.append("[a, b] is a 95 % interval.")
    lines += few_lines((p.n, row.few) for p in found for row in rows if p.n in row.distances)
    if any(plane.floor for plane in found):
        lines.append("Floor: the distance of as many held-out images.")
    lines += [
        "Evaluations at most: the usual numbers, each taken by more than half as many samplers of "
        "the model as the most usual one, and the largest. Each sampler is compared by its setting "
        "of the lowest distance within them; evaluations/image are those that the best one takes.",
        "Cannot be told apart: the 95 % interval of the difference of the two distances, widened "
        "for the number of samplers that are compared with the best (Bonferroni), holds 0.",
    ]
    return lines + _left_out(rows, found)


def _left_out(rows: Sequence[Row], found: Sequence[Plane]) -> list[str]:
    """Return which settings are not compared, and why."""
    reasons: dict[str, list[str]] = {}
    for plane in found:
        reasons.setdefault(f"not measured at n = {plane.n}", []).extend(plane.left_out)
        without = [name_of(p.cell) for p in plane.points if p.distance.low is None]
        reasons.setdefault("no interval of the distance", []).extend(without)
    for row in rows:
        if row.cell and row.cell.sampler and row.no_distance:
            reasons.setdefault(row.no_distance, []).append(name_of(row.cell))
    return [
        f"Not compared: {', '.join(dict.fromkeys(names))}: {why}."
        for why, names in reasons.items()
        if names
    ]
