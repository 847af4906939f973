"""What the tests of claims measure: they look up rows, and compare numbers with bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from benchmark.core.strict_model import Name, StrictModel
from benchmark.core.values import Value
from benchmark.metrics.uncertainty import (
    Z95,
    across_seeds,
    difference,
    quotient,
    widening,
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
    """A test cannot be decided; the message says why."""

    def __init__(self, why: str, verdict: Verdict = Verdict.CANNOT_TELL) -> None:
        super().__init__(why)
        self.verdict = verdict


class Reported(StrictModel):
    """A row of the report's tables, or a setting that a claim is about.

    Attributes:
        weights: where they are from.
        family: the family of the model.
        schedule: name of the schedule in the grid.
        sampler: name of the sampler in the grid.
        steps: number of its steps.
        model: name of the model, where models of one family differ; None: any.
    """

    weights: Literal["from-scratch", "pretrained"]
    family: str
    schedule: str
    sampler: str
    steps: int
    model: Name | None = None

    @property
    def key(self) -> Key:
        """The key by which the cells that repeat this row are found."""
        return (self.family, self.schedule, self.sampler, str(self.steps), self.weights)

    def fits(self, row: Row) -> bool:
        """Tell whether a row is of a cell that repeats this one."""
        cell = row.cell
        return bool(cell and key_of(cell) == self.key and self.model in (None, cell.model))

    def __str__(self) -> str:
        ready = "pretrained " if self.weights == "pretrained" else ""
        named = "" if self.sampler.lower() == self.family.lower() else f" {self.sampler}"
        return f"{ready}{self.model or self.family} {self.schedule}{named} {self.steps}"


@dataclass(frozen=True)
class Lookup:
    """Finds the rows of a run to which a test refers.

    Attributes:
        rows: all rows of the run.
        reported: the cells that tests name.
    """

    rows: Sequence[Row]
    reported: Mapping[str, Reported]

    def cells(self, name: str) -> list[Row]:
        """Return the rows of the cells that repeat a row of the report, one for each seed.

        Raises:
            UndecidedError: no cell repeats it, or cells of several models do.
        """
        found = [row for row in self.rows if self.reported[name].fits(row)]
        if not found:
            raise UndecidedError(f"{self.text(name)} was not run", Verdict.NOT_RUN)
        kinds = {f"{row.cell.model} on {row.cell.dataset}" for row in found if row.cell}
        if len(kinds) > 1:
            raise UndecidedError(f"several fit {self.text(name)}: {', '.join(sorted(kinds))}")
        return found

    def every(self, name: str) -> list[Row]:
        """Return the rows of all models that fit a cell of the claims.

        Raises:
            UndecidedError: there are none, or they are of several data sets.
        """
        found = [row for row in self.rows if self.reported[name].fits(row)]
        if not found:
            raise UndecidedError(f"{self.text(name)} was not run", Verdict.NOT_RUN)
        if len(data := sorted({row.dataset for row in found})) > 1:
            raise UndecidedError(f"{self.text(name)} is of several data: {', '.join(data)}")
        return found

    def family(self, name: str) -> list[Row]:
        """Return the rows of all cells of a family in which copies were searched for.

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
        """Return the row of a control of a data set.

        Raises:
            UndecidedError: the control was not evaluated.
        """
        for row in self.rows:
            if row.control and (row.control.kind, row.dataset) == (kind, dataset):
                return row
        raise UndecidedError(f"the control {kind!r} is missing: name it in evaluation.controls")

    def text(self, name: str) -> str:
        """Return the name of a row of the report for readers."""
        return str(self.reported[name])


@dataclass(frozen=True)
class Measurement:
    """A measured number, and the bounds between which a claim wants it.

    Attributes:
        value: the number with its 95 % interval.
        low: lower bound, if there is one.
        high: upper bound, if there is one.
        rows: rows from which it was measured.
        samples: number of samples of each cell, on which the width of the interval depends.
        n: number of images of each side, if distances are compared.
        relative: whether it is a ratio, whose interval is symmetric in the logarithm.
    """

    value: Value
    low: float | None
    high: float | None
    rows: Sequence[Row]
    samples: int
    n: int | None = None
    relative: bool = False

    def verdict(self, tests: int) -> Verdict:
        """Return the verdict: does the interval lie within the bounds, outside of them, or neither?

        By chance one of several tests fails more often than a single test, so the interval that
        must lie outside is widened for the number of tests of the claim.
        """
        _, low, high = _ends(self.value)
        if (self.low is None or low >= self.low) and (self.high is None or high <= self.high):
            return Verdict.REPRODUCED
        low, high = (self._end(end, tests) for end in (low, high))
        too_low = self.low is not None and high < self.low
        too_high = self.high is not None and low > self.high
        return Verdict.CONTRADICTED if too_low or too_high else Verdict.CANNOT_TELL

    def settle(self, tests: int) -> float | None:
        """Return how many samples would decide the test; None: it is decided."""
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
        """Return an end of the interval, widened for the number of tests (Bonferroni)."""
        middle = self._scaled(self.value.value)
        wider = middle + widening(tests) * (self._scaled(end) - middle)
        return math.exp(wider) if self.relative else wider

    def _settle(self, bound: float, end: float) -> float:
        """Return with how many samples this end of the interval would lie at the bound."""
        middle = self._scaled(self.value.value)
        gap, width = self._scaled(bound) - middle, self._scaled(end) - middle
        return self.samples * (width / gap) ** 2 if gap else math.inf

    def _scaled(self, number: float) -> float:
        return math.log(number) if self.relative else number


class ShareMeasurement(Measurement):
    """A measured share of samples, with Wilson's interval."""

    def _settle(self, bound: float, end: float) -> float:
        gap = self.value.value - bound
        return Z95**2 * bound * (1 - bound) / gap**2 if gap else math.inf


def shared_distances(a: Sequence[Row], b: Sequence[Row]) -> tuple[int, Value, Value]:
    """Return the largest number of images at which all rows have a distance, and both distances.

    The rows of a side are of one cell or control, and its seeds are averaged.

    Raises:
        UndecidedError: the distances cannot be compared.
    """
    rows = [*a, *b]
    if missing := [row for row in rows if not row.distances]:
        what, why = f"{name_of_row(missing[0])} has no distance", missing[0].no_distance
        verdict = Verdict.CANNOT_TELL if why else Verdict.NOT_RUN
        raise UndecidedError(f"{what}: {why}" if why else what, verdict)
    check_alike([row.protocol.model_dump(exclude={"n_fake"}) for row in rows if row.protocol])
    known = [{n for n, v in row.distances.items() if v.low is not None} for row in rows]
    n = max(set.intersection(*known), default=None)
    if n is None:
        raise UndecidedError("no number of images in common: name one in evaluation.sizes")
    first, second = (across_seeds([row.distances[n] for row in side]) for side in (a, b))
    return n, first, second


def measured_difference(a: Sequence[Row], b: Sequence[Row]) -> Measurement:
    """Return the difference of two distances at equal numbers of images, which should be below 0.

    Raises:
        UndecidedError: the distances cannot be compared.
    """
    n, first, second = shared_distances(a, b)
    return Measurement(difference(first, second), None, 0.0, (*a, *b), n, n)


def measured_distance_ratio(
    a: Sequence[Row], b: Sequence[Row], low: float | None, high: float | None
) -> Measurement:
    """Return the ratio of two distances at equal numbers of images.

    Raises:
        UndecidedError: the distances cannot be compared.
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
        UndecidedError: the times cannot be compared, the machine was busy, or a time has no
            interval.
    """
    rows = [*a, *b]
    if missing := [row for row in rows if not (row.sample and row.sample.timing)]:
        raise UndecidedError(f"{name_of_row(missing[0])} was not timed", Verdict.NOT_RUN)
    check_alike([timed_alike(row) for row in rows])
    if busy := [row for row in rows if row.busy]:
        why = f"machine was busy: {busy[0].busy} (sampling {name_of_row(busy[0])})"
        raise UndecidedError(f"not comparable: {why}")
    first, second = _seconds(a), _seconds(b)
    if first.low is None or second.low is None:
        raise UndecidedError("one timed batch has no interval: take a smaller sampling_batch")
    if min(first.low, second.low) <= 0:
        raise UndecidedError("the interval of a time reaches 0")
    spread = quotient(first, second)
    return Measurement(spread, low, high, rows, fewest(rows), relative=True)


def _seconds(rows: Iterable[Row]) -> Value:
    """Return the seconds per image over all seeds."""
    return seconds_per_image(r.sample.timing for r in rows if r.sample and r.sample.timing)


def accused_copies(row: Row) -> int | None:
    """Return the number of samples accused of being copies; None: copies were not searched for."""
    found = row.retrieval.values.get("accused") if row.retrieval else None
    return int(found.value) if found else None


def _ends(value: Value) -> tuple[float, float, float]:
    """Return a value and the ends of its interval."""
    assert value.low is not None
    assert value.high is not None
    return value.value, value.low, value.high


def check_alike(found: Sequence[dict[str, object]]) -> None:
    """Raise UndecidedError if a field differs; it names the first one."""
    for name, first in found[0].items():
        if other := [fields[name] for fields in found if fields[name] != first]:
            raise UndecidedError(
                f"not comparable: {name} is {_short(first)} and {_short(other[0])}"
            )


def _short(value: object) -> str:
    """Return a value as a sentence shows it: of a hash only the start."""
    text = str(value)
    return text[:12] if len(text) == _SHA256 else text


def fewest(rows: Iterable[Row]) -> int:
    """Return the number of samples of that cell which has the fewest."""
    return min(row.cell.samples for row in rows if row.cell)


def name_of_row(row: Row) -> str:
    """Return the id of a cell, or what control it is."""
    return row.cell.id if row.cell else f"the control {row.control.kind}" if row.control else ""
