"""The verdict of a run on each claim of the report: pure functions of the rows.

A claim is data (`config/reference/claims.yaml`): a sentence and the tests that must all pass. A
test asks whether a 95 % interval lies wholly inside a range, wholly outside of it, or neither.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, ClassVar, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError, model_validator

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import Strict, explain, nearest_names
from benchmark.core.values import Value
from benchmark.core.yaml_text import read_yaml
from benchmark.metrics.uncertainty import (
    Z95,
    across_seeds,
    difference,
    proportion,
    quotient,
)
from benchmark.records.published import Key, key_of
from benchmark.records.record import PART
from benchmark.records.rows import Row, seconds_per_image, timed_alike

_SHA256 = 64  # hexadecimal digits


class Verdict(StrEnum):
    """What a run says about a claim."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    CANNOT_TELL = "cannot tell"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Finding:
    """What one test of a claim found.

    Attributes:
        measure: what was measured.
        wanted: where the claim wants it.
        verdict: of this test alone.
        value: what was measured, with its 95 % interval.
        n: the images of each side, where distances were compared.
        settle: the samples of each cell with which the interval, if it shrinks as 1/√n and stays
            where it is, would lie on one side; None where it does, or where samples do not help.
        why: why there is no value.
        parts: what was found, where several tests stand for each other.
        rows: what was judged.
    """

    measure: str
    wanted: str
    verdict: Verdict
    value: Value | None = None
    n: int | None = None
    settle: float | None = None
    why: str = ""
    parts: tuple[Finding, ...] = ()
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Judged:
    """A claim with what its tests found."""

    number: int
    text: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Contradicted if one test is, reproduced if all are."""
        return all_of(finding.verdict for finding in self.findings)

    @property
    def settle(self) -> float | None:
        """The samples of each cell with which the tests that say nothing would be settled."""
        needed = [f.settle for f in self.findings if f.settle is not None]
        return max(needed, default=None) if self.verdict is Verdict.CANNOT_TELL else None


def judge(claims: Claims, rows: Sequence[Row]) -> list[Judged]:
    """Judge every claim by the rows of a run."""
    lookup = Lookup(rows, {name: cell.key for name, cell in claims.cells.items()})
    return [
        Judged(number, claim.text, tuple(run(t, lookup, len(claim.tests)) for t in claim.tests))
        for number, claim in enumerate(claims.claims, start=1)
    ]


def read_claims(path: Path) -> Claims:
    """Read claims.

    Raises:
        BenchmarkError: the file cannot be read, or is not of this form.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise BenchmarkError(f"{path}: the claims cannot be read: {first}") from None
    try:
        return Claims.model_validate(content)
    except ValidationError as error:
        raise BenchmarkError(f"{path}: {explain(error, content)}") from None


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
            r for r in self.rows if r.cell and r.cell.family == name and _copies(r) is not None
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
class TestedNumber:
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


class _Share(TestedNumber):
    """A share of samples, with Wilson's interval."""

    def _settle(self, bound: float, end: float) -> float:
        gap = self.value.value - bound
        return Z95**2 * bound * (1 - bound) / gap**2 if gap else math.inf


class _Pair(Strict):
    """A test of two cells of the report, named as in `cells` of the claims."""

    cell: str
    other: str


class Range(Strict):
    """Bounds of a ratio."""

    at_least: float | None = Field(default=None, gt=0)
    at_most: float | None = Field(default=None, gt=0)

    @property
    def wanted(self) -> str:
        """Return the range for readers."""
        low, high = (x and f"{x:.3g}" for x in (self.at_least, self.at_most))
        return (
            f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        )

    @model_validator(mode="after")
    def _check(self) -> Range:
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least: one of at_least and at_most is needed")
        return self


class Closer(_Pair):
    """The distance of `cell` is below that of `other`, both of as many images."""

    test: Literal["closer"]
    wanted: ClassVar[str] = "below 0"

    def measure(self, lookup: Lookup) -> str:
        """Return what is measured, for readers."""
        return f"distance: {lookup.text(self.cell)} − {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> TestedNumber:
        """Measure the difference."""
        rows = lookup.cells(self.cell), lookup.cells(self.other)
        n, a, b = shared_distances(*rows)
        return TestedNumber(difference(a, b), None, 0.0, (*rows[0], *rows[1]), n, n)


class Distance(_Pair, Range):
    """The distance of `cell` is so many times that of `other`, both of as many images."""

    test: Literal["distance"]

    def measure(self, lookup: Lookup) -> str:
        """Return what is measured, for readers."""
        return f"distance: {lookup.text(self.cell)} / {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> TestedNumber:
        """Measure the ratio."""
        rows = lookup.cells(self.cell), lookup.cells(self.other)
        return distance_ratio(*rows, self.at_least, self.at_most)


class Noise(Range):
    """The distance of `cell` is so large a share of that of random pixels."""

    test: Literal["noise"]
    cell: str

    def measure(self, lookup: Lookup) -> str:
        """Return what is measured, for readers."""
        return f"distance: {lookup.text(self.cell)} / random pixels"

    def measured(self, lookup: Lookup) -> TestedNumber:
        """Measure the ratio."""
        rows = lookup.cells(self.cell)
        noise = lookup.control("noise", rows[0].dataset)
        return distance_ratio(rows, [noise], self.at_least, self.at_most)


class Time(_Pair, Range):
    """An image of `cell` takes so many times as long as one of `other`."""

    test: Literal["time"]

    def measure(self, lookup: Lookup) -> str:
        """Return what is measured, for readers."""
        return f"seconds an image: {lookup.text(self.cell)} / {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> TestedNumber:
        """Measure the ratio."""
        rows = lookup.cells(self.cell), lookup.cells(self.other)
        return time_ratio(*rows, self.at_least, self.at_most)


class Size(_Pair):
    """An image of `cell` takes less time than one of `other`, mostly because it is smaller.

    The ratio of the pixels explains the share `explains` of the ratio of times, in logarithms.
    """

    test: Literal["size"]
    explains: float = Field(gt=0, le=1)

    @property
    def wanted(self) -> str:
        """Return the range for readers."""
        return f"above 1, and by {self.explains:.0%} or more explained by the number of pixels"

    def measure(self, lookup: Lookup) -> str:
        """Return what is measured, for readers."""
        return f"seconds an image: {lookup.text(self.other)} / {lookup.text(self.cell)}"

    def measured(self, lookup: Lookup) -> TestedNumber:
        """Measure the ratio of times.

        Raises:
            UndecidedError: the images of `cell` are not smaller.
        """
        small, large = lookup.cells(self.cell), lookup.cells(self.other)
        pixels = [row.cell.resolution**2 for row in (small[0], large[0]) if row.cell]
        if pixels[0] >= pixels[1]:
            raise UndecidedError("the images of both have the same size here")
        return time_ratio(large, small, 1.0, (pixels[1] / pixels[0]) ** (1 / self.explains))


class _Copies(Strict):
    """At most the share `limit` of a family's samples are accused of being copies."""

    test: Literal["copies"]
    family: str
    limit: float = Field(gt=0, lt=1)
    power: float = Field(gt=0, le=1, description="Share of planted copies that must be accused")

    @property
    def wanted(self) -> str:
        """Return the range for readers."""
        return f"at most {self.limit:g}"

    def measure(self, lookup: Lookup) -> str:
        """Return what is measured, for readers."""
        return f"share of {self.family} samples accused of being copies"

    def measured(self, lookup: Lookup) -> TestedNumber:
        """Measure the share, once planted copies were found.

        Raises:
            UndecidedError: some are accused, though fewer than `limit`; or copies that were planted
                were not found, so that to find none says nothing.
        """
        rows = lookup.family(self.family)
        for dataset in sorted({row.dataset for row in rows}):
            control = lookup.control("copies", dataset).retrieval
            planted = control.facts.get(f"{PART}exact") if control else None
            if not isinstance(planted, float) or planted < self.power:
                raise UndecidedError(f"copies planted among {dataset} are not found often enough")
        number = sum(_copies(row) or 0 for row in rows)
        n = sum(row.cell.samples for row in rows if row.cell)
        found = _Share(proportion(np.arange(n) < number), None, self.limit, rows, n)
        if number and found.verdict(tests=1) is Verdict.REPRODUCED:
            raise UndecidedError(f"{number} of {n} samples are accused: look at their panels")
        return found


class Either(Strict):
    """One of several lists of tests is passed as a whole."""

    test: Literal["either"]
    either: list[list[Plain]] = Field(min_length=1)


Plain = Annotated[Closer | Distance | Noise | Time | Size | _Copies, Field(discriminator="test")]
Test = Annotated[
    Closer | Distance | Noise | Time | Size | _Copies | Either, Field(discriminator="test")
]


class Reported(Strict):
    """What tells a row of the report from the others."""

    weights: Literal["from-scratch", "pretrained"]
    family: str
    schedule: str
    sampler: str
    steps: int

    @property
    def key(self) -> Key:
        """What finds the cells that repeat this row."""
        return (self.family, self.schedule, self.sampler, str(self.steps), self.weights)


class Claim(Strict):
    """A sentence, and the tests that must all be passed."""

    text: str
    tests: list[Test] = Field(min_length=1)


class Claims(Strict):
    """What the report claims."""

    cells: dict[str, Reported]
    claims: list[Claim] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_names(self) -> Claims:
        for number, claim in enumerate(self.claims, start=1):
            for test in _flat(claim.tests):
                for name in (getattr(test, "cell", None), getattr(test, "other", None)):
                    if name is not None and name not in self.cells:
                        raise ValueError(
                            f"claims: {number}: no cell {name!r}: {nearest_names(name, self.cells)}"
                        )
        return self


def run(test: Test, lookup: Lookup, tests: int = 1) -> Finding:
    """Ask what a test, one of so many of its claim, asks."""
    if isinstance(test, Either):
        return _run_either(test, lookup, tests)
    blank = Finding(test.measure(lookup), test.wanted, Verdict.CANNOT_TELL)
    try:
        found = test.measured(lookup)
    except UndecidedError as reason:
        return replace(blank, verdict=reason.verdict, why=str(reason))
    return replace(
        blank,
        verdict=found.verdict(tests),
        value=found.value,
        n=found.n,
        settle=found.settle(tests),
        rows=tuple(found.rows),
    )


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on what several tests must all show."""
    found = set(verdicts)
    if Verdict.CONTRADICTED in found:
        return Verdict.CONTRADICTED
    return found.pop() if len(found) == 1 else Verdict.CANNOT_TELL


def any_of(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on what one of several tests must show."""
    found = set(verdicts)
    if Verdict.REPRODUCED in found:
        return Verdict.REPRODUCED
    return found.pop() if len(found) == 1 else Verdict.CANNOT_TELL


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


def distance_ratio(
    a: Sequence[Row], b: Sequence[Row], low: float | None, high: float | None
) -> TestedNumber:
    """Return the ratio of two distances of as many images.

    Raises:
        UndecidedError: they cannot be compared.
    """
    n, first, second = shared_distances(a, b)
    if min(_ends(first)[1], _ends(second)[1]) <= 0:
        raise UndecidedError(f"the interval of a distance at n = {n} reaches 0")
    return TestedNumber(quotient(first, second), low, high, (*a, *b), n, n, relative=True)


def time_ratio(
    a: Sequence[Row], b: Sequence[Row], low: float | None, high: float | None
) -> TestedNumber:
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
    return TestedNumber(spread, low, high, rows, samples, relative=True)


def _seconds(rows: Iterable[Row]) -> Value:
    """Return the seconds per image, all seeds together."""
    return seconds_per_image(r.sample.timing for r in rows if r.sample and r.sample.timing)


def _copies(row: Row) -> int | None:
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


def _run_either(test: Either, lookup: Lookup, tests: int) -> Finding:
    """Ask every alternative, each a list of tests."""
    tried = [
        Judged(0, "", tuple(run(t, lookup, tests) for t in together)) for together in test.either
    ]
    verdict = any_of(alternative.verdict for alternative in tried)
    parts = [finding for alternative in tried for finding in alternative.findings]
    needed = [alternative.settle for alternative in tried if alternative.settle is not None]
    numbers = map("({})".format, itertools.count(1))
    wanted = [" and ".join(next(numbers) for _ in alternative.findings) for alternative in tried]
    return Finding(
        measure=f"one of {len(tried)} that stand for each other",
        wanted=", or ".join(wanted),
        verdict=verdict,
        settle=min(needed, default=None) if verdict is Verdict.CANNOT_TELL else None,
        parts=tuple(parts),
        rows=tuple(row for finding in parts for row in finding.rows),
    )


def _flat(tests: Iterable[Test]) -> Iterator[Plain]:
    for test in tests:
        if isinstance(test, Either):
            yield from (plain for together in test.either for plain in together)
        else:
            yield test
