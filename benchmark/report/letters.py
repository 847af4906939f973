"""Which rows of a table can be told apart."""

from __future__ import annotations

import itertools
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import differs
from benchmark.records.rows import Row, comparable


class Compared(NamedTuple):
    """Rows whose distances were compared at one number of images."""

    n: int
    letters: dict[str, str]  # by the id of the row's metrics


def compare_rows(rows: Iterable[Row]) -> list[Compared]:
    """Compare rows of equal protocol at the number of images at which most of them are measured.

    Of several such numbers it is the largest. Rows without a distance, or without its interval, at
    this number have no letters.
    """
    sets: dict[tuple[object, ...], dict[str, dict[int, Value]]] = {}
    for row in rows:
        if row.metrics and row.protocol:
            known = {n: v for n, v in row.distances.items() if v.low is not None}
            sets.setdefault(comparable(row), {})[row.metrics.id] = known
    found = [_compare(distances) for distances in sets.values() if any(distances.values())]
    return [group for group in found if len(group.letters) > 1]


def _compare(distances: dict[str, dict[int, Value]]) -> Compared:
    counts = Counter(n for sizes in distances.values() for n in sizes)
    n = max(counts, key=lambda size: (counts[size], size))
    values = {name: sizes[n] for name, sizes in distances.items() if n in sizes}
    return Compared(n, dict(zip(values, letters(list(values.values())), strict=True)))


def letters(values: Sequence[Value], differ: Callable[[int, int], bool] | None = None) -> list[str]:
    """Return the compact letter display of values that have intervals: a text for each.

    Two values share a letter exactly if they do not differ. Letters are given in the order of each
    one's smallest value.

    Source: Piepho 2004, the insert-and-absorb algorithm.

    Args:
        values: the values.
        differ: tells whether those of two numbers, from 0, differ; None: whether the 95 % interval
            of the difference excludes 0, of values that are independent.

    Raises:
        BenchmarkError: a value has no interval.
    """
    groups = [frozenset(range(len(values)))]
    for i, j in itertools.combinations(range(len(values)), 2):
        if differ(i, j) if differ else differs(values[i], values[j]):
            groups = _part(groups, i, j)
    groups.sort(key=lambda group: sorted(values[i].value for i in group))
    return [
        "".join(_letter(number) for number, group in enumerate(groups) if i in group)
        for i in range(len(values))
    ]


def _part(groups: list[frozenset[int]], i: int, j: int) -> list[frozenset[int]]:
    """Divide each group that holds both i and j; keep those that lie in no other."""
    whole = [group for group in groups if not group >= {i, j}]
    divided = [group for group in groups if group >= {i, j}]
    parts = list(dict.fromkeys(group - {k} for group in divided for k in (i, j)))
    # No whole group lies in another one, nor in a part of one.
    kept = [part for part in parts if not any(part <= group for group in whole)]
    return [*whole, *(part for part in kept if not any(part < other for other in kept))]


def _letter(number: int) -> str:
    """Return a to z, A to Z, then a′ and so on."""
    round_, place = divmod(number, len(string.ascii_letters))
    return string.ascii_letters[place] + "′" * round_
