"""The form of `benchmark/reference/claims.yaml`: the report's claims, each with its tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError, model_validator

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel, explain, nearest_names
from benchmark.core.yaml_text import read_yaml
from benchmark.metrics.uncertainty import proportion
from benchmark.report.adversaries import (
    FrequenciesTest,
    GradientTest,
    ModesTest,
    SensitivityTest,
)
from benchmark.report.measures import (
    Lookup,
    Measurement,
    Reported,
    ShareMeasurement,
    UndecidedError,
    Verdict,
    accused_copies,
    measured_difference,
    measured_distance_ratio,
    measured_time_ratio,
)
from benchmark.report.ranges import Range, TwoCells
from benchmark.report.theory import ApartTest, EquallyTrainedTest, EvaluationsTest, TrainingTest


class Claims(StrictModel):
    """The claims of the report, and the rows of its tables to which they refer."""

    report: Source | None = None
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


def read_claims(path: Path) -> Claims:
    """Read claims.

    Raises:
        BenchmarkError: the file cannot be read, or does not have this form.
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


class Source(StrictModel):
    """What makes the claims, for readers who want to find it."""

    authors: list[str]
    title: str
    year: str
    place: str

    def __str__(self) -> str:
        *first, last = self.authors
        names = f"{', '.join(first)} and {last}" if first else last
        return f"{names}: {self.title} ({self.place}, {self.year})"


class Claim(StrictModel):
    """A sentence of the report, and the tests that must all pass for it to hold."""

    text: str
    tests: list[Test] = Field(min_length=1)


class CloserTest(TwoCells):
    """The distance of `cell` is below that of `other`, at equal numbers of images."""

    test: Literal["closer"]
    quantity: ClassVar[str] = "difference of distances"
    wanted: ClassVar[str] = "below 0"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"distance: {lookup.text(self.cell)} − {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the difference."""
        return measured_difference(lookup.cells(self.cell), lookup.cells(self.other))


class DistanceTest(TwoCells, Range):
    """The ratio of the distance of `cell` to that of `other`, at equal numbers of images."""

    test: Literal["distance"]
    quantity: ClassVar[str] = "ratio of distances"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"distance: {lookup.text(self.cell)} / {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio."""
        rows = lookup.cells(self.cell), lookup.cells(self.other)
        return measured_distance_ratio(*rows, self.at_least, self.at_most)


class NoiseTest(Range):
    """The ratio of the distance of `cell` to that of random pixels, at equal numbers of images."""

    test: Literal["noise"]
    quantity: ClassVar[str] = "ratio of distances"
    cell: str

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"distance: {lookup.text(self.cell)} / random pixels"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio."""
        rows = lookup.cells(self.cell)
        noise = lookup.control("noise", rows[0].dataset)
        return measured_distance_ratio(rows, [noise], self.at_least, self.at_most)


class TimeTest(TwoCells, Range):
    """The ratio of the time for an image of `cell` to that for an image of `other`."""

    test: Literal["time"]
    quantity: ClassVar[str] = "ratio of seconds an image"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"seconds an image: {lookup.text(self.cell)} / {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio."""
        rows = lookup.cells(self.cell), lookup.cells(self.other)
        return measured_time_ratio(*rows, self.at_least, self.at_most)


class SizeTest(TwoCells):
    """An image of `cell` takes less time than one of `other`, mostly because it is smaller.

    The logarithm of the ratio of pixels is at least the share `explains` of that of the times.
    """

    test: Literal["size"]
    quantity: ClassVar[str] = "ratio of seconds an image"
    explains: float = Field(gt=0, le=1)

    @property
    def wanted(self) -> str:
        """The words for the range that the claim wants."""
        return f"above 1, and by {self.explains:.0%} or more explained by the number of pixels"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"seconds an image: {lookup.text(self.other)} / {lookup.text(self.cell)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio of times.

        Raises:
            UndecidedError: the images of `cell` are not smaller.
        """
        small, large = lookup.cells(self.cell), lookup.cells(self.other)
        pixels = [row.cell.resolution**2 for row in (small[0], large[0]) if row.cell]
        if pixels[0] >= pixels[1]:
            raise UndecidedError("the images of both have the same size here")
        most = (pixels[1] / pixels[0]) ** (1 / self.explains)
        return measured_time_ratio(large, small, 1.0, most)


class CopiesTest(StrictModel):
    """At most the share `limit` of a family's samples are accused of being copies."""

    test: Literal["copies"]
    quantity: ClassVar[str] = "share accused of being copies"
    family: str
    limit: float = Field(gt=0, lt=1)
    power: float = Field(gt=0, le=1, description="Share of planted copies that must be accused")

    @property
    def wanted(self) -> str:
        """The words for the range that the claim wants."""
        return f"at most {self.limit:g}"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"share of {self.family} samples accused of being copies"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the share of accused samples, if planted copies were found.

        Raises:
            UndecidedError: planted copies were not found, so that finding none proves nothing; or
                some samples are accused, though the share is below `limit`.
        """
        rows = lookup.family(self.family)
        for dataset in sorted({row.dataset for row in rows}):
            control = lookup.control("copies", dataset).retrieval
            retrieved = control.retrieved if control else None
            planted = retrieved.accused_of.get("exact") if retrieved else None
            if planted is None or planted < self.power:
                raise UndecidedError(f"copies planted among {dataset} are not found often enough")
        number = sum(accused_copies(row) or 0 for row in rows)
        n = sum(row.cell.samples for row in rows if row.cell)
        found = ShareMeasurement(proportion(np.arange(n) < number), None, self.limit, rows, n)
        if number and found.verdict(tests=1) is Verdict.REPRODUCED:
            raise UndecidedError(f"{number} of {n} samples are accused: look at their panels")
        return found


class Either(StrictModel):
    """At least one of several lists of tests passes as a whole."""

    test: Literal["either"]
    either: list[list[Plain]] = Field(min_length=1)


_Plain = (
    CloserTest
    | DistanceTest
    | NoiseTest
    | TimeTest
    | SizeTest
    | CopiesTest
    | TrainingTest
    | EquallyTrainedTest
    | EvaluationsTest
    | ApartTest
    | ModesTest
    | FrequenciesTest
    | GradientTest
    | SensitivityTest
)
Plain = Annotated[_Plain, Field(discriminator="test")]
Test = Annotated[_Plain | Either, Field(discriminator="test")]


def _flat(tests: Iterable[Test]) -> Iterator[Plain]:
    for test in tests:
        if isinstance(test, Either):
            yield from (plain for together in test.either for plain in together)
        else:
            yield test
