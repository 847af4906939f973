"""The settings of a run in the order of their distance, all of equally many images."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import across_seeds, differs
from benchmark.records.record import Cell
from benchmark.records.rows import (
    Row,
    common_size,
    comparable,
    floor_of,
    plain,
    seconds_per_image,
    seedless,
)


@dataclass(frozen=True)
class Entry:
    """A setting; its seeds are one entry.

    Attributes:
        seeds: its rows, which differ in their seed only.
        n: the number of images of which the distance is.
        distance: that of all seeds together; None: none was measured.
        floor: the distance of as many held-out images, where that was measured.
    """

    seeds: list[Row]
    n: int
    distance: Value | None
    floor: Value | None

    @property
    def cell(self) -> Cell:
        """The cell of the first seed."""
        assert self.seeds[0].cell
        return self.seeds[0].cell

    @property
    def times_floor(self) -> float | None:
        """The distance over that of as many held-out images; None: one of them is not known."""
        if self.distance is None or self.floor is None or self.floor.value <= 0:
            return None
        return self.distance.value / self.floor.value

    @property
    def seconds(self) -> Value | None:
        """The seconds per image of all seeds; None: they were not timed."""
        timings = [row.sample.timing for row in self.seeds if row.sample and row.sample.timing]
        return seconds_per_image(timings) if timings else None

    @property
    def busy(self) -> str:
        """Why the seconds are not valid; empty if nothing speaks against them."""
        return next((row.busy for row in self.seeds if row.busy), "")


@dataclass(frozen=True)
class Ranking:
    """The settings of one data set at one resolution, measured in one way.

    Attributes:
        data: the data set and its resolution.
        label: what the distance is called; empty where none was measured.
        n: the number of images at which most settings are measured, and all of `ranked` are.
        ranked: the settings that were measured at n, the lowest distance first.
        others: the settings that were not; their distances are of other numbers of images.
    """

    data: str
    label: str
    n: int | None
    ranked: list[Entry]
    others: list[Entry]

    @property
    def entries(self) -> list[Entry]:
        """All settings, those that are compared first."""
        return [*self.ranked, *self.others]

    @property
    def alike(self) -> list[Entry]:
        """The settings that cannot be told apart from the first one.

        The interval of the difference is widened for the number of settings that are compared with
        the first (Bonferroni). A distance without an interval is told from none.
        """
        if not self.ranked:
            return []
        best, *others = self.ranked
        return [entry for entry in others if _alike(best, entry, len(others))]


def rankings(rows: Sequence[Row]) -> list[Ranking]:
    """Rank the settings of a run: those whose distances can be compared, at one number of images.

    Cells that answer questions about images are left out.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in plain(rows):
        if row.cell:
            way = comparable(row) if row.protocol else ()
            groups.setdefault((row.dataset, row.cell.resolution, *way), []).append(row)
    return [_ranking(group, rows) for group in groups.values()]


def _alike(best: Entry, other: Entry, tests: int) -> bool:
    assert best.distance
    assert other.distance
    if best.distance.low is None or other.distance.low is None:
        return True
    return not differs(best.distance, other.distance, tests=tests)


def _ranking(group: Sequence[Row], rows: Sequence[Row]) -> Ranking:
    n, first = common_size(group), group[0]
    assert first.cell
    found = [_entry(seeds, n, rows) for seeds in _by_setting(group)]
    is_ranked = [entry.n == n and entry.distance is not None for entry in found]
    ranked = itertools.compress(found, is_ranked)
    return Ranking(
        data=f"{first.dataset} at {first.cell.resolution}×{first.cell.resolution}",
        label=first.protocol.label if first.protocol else "",
        n=n,
        ranked=sorted(ranked, key=lambda entry: entry.distance.value if entry.distance else 0),
        others=[entry for entry, known in zip(found, is_ranked, strict=True) if not known],
    )


def _by_setting(rows: Iterable[Row]) -> list[list[Row]]:
    """Group rows that differ in their seed only, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(seedless(row)), []).append(row)
    return list(groups.values())


def _entry(seeds: list[Row], n: int | None, rows: Sequence[Row]) -> Entry:
    """Join the seeds of a setting: at n images if all are measured at it, else at all of theirs."""
    assert seeds[0].cell
    at = n if n and all(n in row.distances for row in seeds) else seeds[0].cell.samples
    distances = [row.distances[at] for row in seeds if at in row.distances]
    return Entry(
        seeds,
        at,
        across_seeds(distances) if distances else None,
        floor_of(seeds[0], rows, at),
    )
