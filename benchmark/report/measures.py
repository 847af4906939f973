"""What the tests of claims measure: rows are looked up, and numbers set against bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import (
    Z95,
    across_seeds,
    quotient,
)
from benchmark.records.published import Key, key_of
from benchmark.records.rows import Row, seconds_per_image, timed_alike

_SHA256 = 64  # hexadecimal digits


class Verdict(StrEnum):
    """What a run says about a claim."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    CANNOT_TELL = "cannot tell"
    NOT_RUN = "not run"


class UndecidedError(Exception):
    """Ends a test that says nothing, with the reason."""

    def __init__(self, why: str, verdict: Verdict = Verdict.CANNOT_TELL) -> None:
        super().__init__(why)
        self.verdict = verdict


@dataclass(frozen=True)
class Lookup:
    """Finds the rows that tests are about.

    Attributes:
        rows: all rows of the run.
        keys: the rows of the report, by the names that tests use.
    """

    rows: Sequence[Row]
    keys: dict[str, Key]

    def cells(self, name: str) -> list[Row]:
        """Return the rows of a cell of the report: one for each seed.

        Raises:
            UndecidedError: it was not run, or by several models.
        """
        found = [row for row in self.rows if row.cell and key_of(row.cell) == self.keys[name]]
        if not found:
            raise UndecidedError(f"{self.text(name)} was not run", Verdict.NOT_RUN)
        kinds = {f"{row.cell.model} on {row.cell.dataset}" for row in found if row.cell}
        if len(kinds) > 1:
            raise UndecidedError(f"several fit {self.text(name)}: {', '.join(sorted(kinds))}")
        return found

    def family(self, name: str) -> list[Row]:
        """Return all cells of a family in which copies were looked for.

        Raises:
            UndecidedError: there are none.
        """
        found = [
            r
            for r in self.rows
            if r.cell and r.cell.family == name and accused_copies(r) is not None
        ]
        if not found:
            raise UndecidedError(f"no copies of {name} were looked for", Verdict.NOT_RUN)
        return found

    def control(self, kind: str, dataset: str) -> Row:
        """Return a control of a data set.

        Raises:
            UndecidedError: it was not judged.
        """
        for row in self.rows:
            if row.control and (row.control.kind, row.dataset) == (kind, dataset):
                return row
        raise UndecidedError(f"the control {kind!r} is missing: name it in evaluation.controls")

    def text(self, name: str) -> str:
        """Name a cell of the report as readers know it."""
        family, schedule, _, steps, weights = self.keys[name]
        ready = "pretrained " if weights == "pretrained" else ""
        return f"{ready}{family} {schedule} {steps}"


@dataclass(frozen=True)
class Measurement:
    """A number that a test is about, and the bounds between which the claim wants it.

    Attributes:
        value: with its 95 % interval.
        low: lower bound, if any.
        high: upper bound, if any.
        rows: whose it is.
        samples: of each cell, that made the interval as wide as it is.
        n: the images of each side, where it compares distances.
        relative: whether it is a ratio, whose interval is even in the logarithm.
    """

    value: Value
    low: float | None
    high: float | None
    rows: Sequence[Row]
    samples: int
    n: int | None = None
    relative: bool = False

    def verdict(self, tests: int) -> Verdict:
        """Return where the interval lies: between the bounds, outside of them, or neither.

        That one of several tests fails is likelier than that a given one does, so the interval that
        must lie outside is wider.
        """
        _, low, high = _ends(self.value)
        if (self.low is None or low >= self.low) and (self.high is None or high <= self.high):
            return Verdict.REPRODUCED
        low, high = (self._end(end, tests) for end in (low, high))
        too_low = self.low is not None and high < self.low
        too_high = self.high is not None and low > self.high
        return Verdict.CONTRADICTED if too_low or too_high else Verdict.CANNOT_TELL

    def settle(self, tests: int) -> float | None:
        """Return the samples with which the verdict would be another, if it says nothing."""
        if self.verdict(tests) is not Verdict.CANNOT_TELL:
            return None
        middle, low, high = _ends(self.value)
        if self.low is not None and middle < self.low:
            return self._settle(self.low, self._end(high, tests))
        if self.high is not None and middle > self.high:
            return self._settle(self.high, self._end(low, tests))
        sides = ((self.low, low), (self.high, high))
        return max(self._settle(bound, end) for bound, end in sides if bound is not None)

    def _end(self, end: float, tests: int) -> float:
        """Return an end of the interval as it is for so many tests at once (Bonferroni)."""
        middle = self._scaled(self.value.value)
        widening = NormalDist().inv_cdf(1 - 0.025 / tests) / Z95
        wider = middle + widening * (self._scaled(end) - middle)
        return math.exp(wider) if self.relative else wider

    def _settle(self, bound: float, end: float) -> float:
        """Return the samples with which this end of the interval would lie at the bound."""
        middle = self._scaled(self.value.value)
        gap, width = self._scaled(bound) - middle, self._scaled(end) - middle
        return self.samples * (width / gap) ** 2 if gap else math.inf

    def _scaled(self, number: float) -> float:
        return math.log(number) if self.relative else number


class ShareMeasurement(Measurement):
    """A share of samples, with Wilson's interval."""

    def _settle(self, bound: float, end: float) -> float:
        gap = self.value.value - bound
        return Z95**2 * bound * (1 - bound) / gap**2 if gap else math.inf


def shared_distances(a: Sequence[Row], b: Sequence[Row]) -> tuple[int, Value, Value]:
    """Return the largest number of images at which all are measured, and both distances at it.

    Each side is one cell or control; its seeds are put together.

    Raises:
        UndecidedError: they cannot be compared.
    """
    rows = [*a, *b]
    if missing := [row for row in rows if not row.distances]:
        what, why = f"{_name(missing[0])} has no distance", missing[0].no_distance
        verdict = Verdict.CANNOT_TELL if why else Verdict.NOT_RUN
        raise UndecidedError(f"{what}: {why}" if why else what, verdict)
    _check_alike([row.protocol.model_dump(exclude={"n_fake"}) for row in rows if row.protocol])
    known = [{n for n, v in row.distances.items() if v.low is not None} for row in rows]
    n = max(set.intersection(*known), default=None)
    if n is None:
        raise UndecidedError("no number of images in common: name one in evaluation.sizes")
    first, second = (across_seeds([row.distances[n] for row in side]) for side in (a, b))
    return n, first, second


def measured_distance_ratio(
    a: Sequence[Row], b: Sequence[Row], low: float | None, high: float | None
) -> Measurement:
    """Return the ratio of two distances of as many images.

    Raises:
        UndecidedError: they cannot be compared.
    """
    n, first, second = shared_distances(a, b)
    if min(_ends(first)[1], _ends(second)[1]) <= 0:
        raise UndecidedError(f"the interval of a distance at n = {n} reaches 0")
    return Measurement(quotient(first, second), low, high, (*a, *b), n, n, relative=True)


def measured_time_ratio(
    a: Sequence[Row], b: Sequence[Row], low: float | None, high: float | None
) -> Measurement:
    """Return the ratio of two sampling times per image.

    Raises:
        UndecidedError: they cannot be compared, the machine was busy, or they have no interval.
    """
    rows = [*a, *b]
    if missing := [row for row in rows if not (row.sample and row.sample.timing)]:
        raise UndecidedError(f"{_name(missing[0])} was not timed", Verdict.NOT_RUN)
    _check_alike([timed_alike(row) for row in rows])
    if busy := [row for row in rows if row.busy]:
        why = f"machine was busy: {busy[0].busy} (sampling {_name(busy[0])})"
        raise UndecidedError(f"not comparable: {why}")
    first, second = _seconds(a), _seconds(b)
    if first.low is None or second.low is None:
        raise UndecidedError("one timed batch has no interval: take a smaller sampling_batch")
    if min(first.low, second.low) <= 0:
        raise UndecidedError("the interval of a time reaches 0")
    spread = quotient(first, second)
    samples = min(row.cell.samples for row in rows if row.cell)
    return Measurement(spread, low, high, rows, samples, relative=True)


def _seconds(rows: Iterable[Row]) -> Value:
    """Return the seconds per image, all seeds together."""
    return seconds_per_image(r.sample.timing for r in rows if r.sample and r.sample.timing)


def accused_copies(row: Row) -> int | None:
    """Return the number of samples accused of being copies, where they were looked for."""
    found = row.retrieval.values.get("accused") if row.retrieval else None
    return int(found.value) if found else None


def _ends(value: Value) -> tuple[float, float, float]:
    """Return a value and the ends of its interval."""
    assert value.low is not None
    assert value.high is not None
    return value.value, value.low, value.high


def _check_alike(found: Sequence[dict[str, object]]) -> None:
    """Raise UndecidedError with the first field that differs."""
    for name, first in found[0].items():
        if other := [fields[name] for fields in found if fields[name] != first]:
            raise UndecidedError(
                f"not comparable: {name} is {_short(first)} and {_short(other[0])}"
            )


def _short(value: object) -> str:
    """Return a value for a sentence; a hash is told by its start."""
    text = str(value)
    return text[:12] if len(text) == _SHA256 else text


def _name(row: Row) -> str:
    return row.cell.id if row.cell else f"the control {row.control.kind}" if row.control else ""
