"""Settings whose images differ by less than anybody sees, though their distances differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from benchmark.core.values import Value
from benchmark.records.rows import Row, comparable, plain, setting_name
from benchmark.records.sketch import levels_apart
from benchmark.report.formats import significant

_FAINT = 1.0  # grey levels in a pixel: the smallest step of an image, which nobody sees
_TOLD = 0.05  # of the smaller distance: what differs by less is hardly read as a difference
_NAMED = 3  # pairs that a line names


class _Pair(NamedTuple):
    """Two rows, and how many grey levels they are apart."""

    rows: tuple[Row, Row]
    levels: float
    distances: tuple[Value, Value]  # both of equally many images, the lower one first

    @property
    def gap(self) -> float:
        """How much larger one distance is than the other, of the smaller one."""
        low, high = (value.value for value in self.distances)
        return high / low - 1 if low > 0 else 0.0


def faint_lines(rows: Sequence[Row]) -> list[str]:
    """Return a line that names settings with other distances for what looks the same, if any."""
    pairs = [pair for group in _groups(rows) for pair in _pairs(group) if pair.gap >= _TOLD]
    if not pairs:
        return []
    pairs.sort(key=lambda pair: -pair.gap)
    more = len(pairs) - _NAMED
    named = [_named(pair) for pair in pairs[:_NAMED]] + ([f"{more} more pairs"] * (more > 0))
    return [
        "Apart by less than a grey level a pixel, which nobody sees, though the distances differ: "
        f"{'; '.join(named)}. Such a difference says nothing of how the images look."
    ]


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Return rows whose images and whose distances can be compared, in groups."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in plain(rows):
        sketch = row.sample.sketch if row.sample else None
        if row.cell and row.protocol and sketch:
            way = (row.dataset, sketch.images, sketch.values, *comparable(row))
            groups.setdefault(way, []).append(row)
    return list(groups.values())


def _pairs(rows: Sequence[Row]) -> Iterator[_Pair]:
    """Yield the pairs of some rows that are less than a grey level apart."""
    levels = levels_apart([row.sample.sketch for row in rows if row.sample and row.sample.sketch])
    for i, j in combinations(range(len(rows)), 2):
        if levels[i, j] < _FAINT and (n := _common(rows[i], rows[j])):
            one, other = sorted((rows[i], rows[j]), key=lambda row: row.distances[n].value)
            distances = one.distances[n], other.distances[n]
            yield _Pair((one, other), float(levels[i, j]), distances)


def _common(one: Row, other: Row) -> int | None:
    """Return the largest number of images of which both have a distance."""
    return max({*one.distances} & {*other.distances}, default=None)


def _named(pair: _Pair) -> str:
    names = [setting_name(row.cell) for row in pair.rows if row.cell]
    figures = " and ".join(significant(value.value) for value in pair.distances)
    return f"{' and '.join(names)} ({significant(pair.levels)} levels; {figures})"
