"""The tests of claims about trainings, solvers and randomness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import quotient
from benchmark.records.record import Record
from benchmark.records.rows import (
    Row,
    seconds_of_training,
    seconds_per_step,
    trained_alike,
)
from benchmark.records.sketch import levels_apart
from benchmark.report.measures import (
    Lookup,
    Measurement,
    UndecidedError,
    Verdict,
    check_alike,
    fewest,
    measured_difference,
    name_of_row,
)
from benchmark.report.ranges import Range, TwoCells

_SKETCH_ERROR = 0.08  # of what sketches tell: two standard errors, see `levels_apart`


class SettledMeasurement(Measurement):
    """A measured number whose interval more samples do not shrink."""

    def settle(self, tests: int) -> float | None:
        """Return None: no number of samples would decide it."""
        return None


class TrainingTest(TwoCells, Range):
    """The ratio of the time of a training step of `cell` to that of `other`, on equal networks.

    Trainings may run side by side. While others leave each of its threads a core of its own, they
    take at most an equal part of what cores share, as memory and caches. So a time t beside others
    that used c cores is between t / (1 + c) and t without them, and the interval of the ratio is
    widened so far.
    """

    test: Literal["training"]
    quantity: ClassVar[str] = "ratio of seconds a training step"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"seconds a training step: {lookup.text(self.cell)} / {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio.

        Raises:
            UndecidedError: the times cannot be compared, or have no interval.
        """
        rows = lookup.cells(self.cell)[:1] + lookup.cells(self.other)[:1]
        found = [_training_of(row) for row in rows]
        check_alike([{**trained_alike(each), "parameters": _parameters(each)} for each in found])
        slower = [_slowed_down(row, each) for row, each in zip(rows, found, strict=True)]
        first, second = (seconds_per_step(each) for each in found)
        if first is None or second is None or not (first.low and second.low):
            raise UndecidedError("a training has too few laps for an interval of its time")
        ratio = quotient(first, second)
        assert ratio.low is not None
        assert ratio.high is not None
        widened = {"low": ratio.low / slower[0], "high": ratio.high * slower[1]}
        ratio = ratio.model_copy(update=widened)
        return SettledMeasurement(
            ratio, self.at_least, self.at_most, rows, fewest(rows), relative=True
        )


class EquallyTrainedTest(TwoCells):
    """The distance of `cell` is below that of `other`, at equal parameters and training time.

    Their numbers of parameters and seconds of training differ by the shares `parameters` and
    `seconds` at most.
    """

    test: Literal["equally-trained"]
    quantity: ClassVar[str] = "difference of distances"
    parameters: float = Field(gt=0, lt=1)
    seconds: float = Field(gt=0, lt=1)

    @property
    def wanted(self) -> str:
        """The words for the range that the claim wants."""
        return (
            f"below 0, with parameters equal to {self.parameters:.0%} and seconds of training to "
            f"{self.seconds:.0%}"
        )

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"distance: {lookup.text(self.cell)} − {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the difference.

        Raises:
            UndecidedError: the trainings were not equal, or the distances cannot be compared.
        """
        rows = lookup.cells(self.cell), lookup.cells(self.other)
        firsts = [side[0] for side in rows]
        parameters = [_parameters(_training_of(row)) for row in firsts]
        _check_equal("parameters", [*map(float, parameters)], self.parameters)
        seconds = [seconds_of_training(row) or 0.0 for row in firsts]
        _check_equal("seconds of training", seconds, self.seconds)
        return measured_difference(*rows)


class EvaluationsTest(TwoCells, Range):
    """The ratio of the network evaluations for an image of `cell` to those of `other`."""

    test: Literal["evaluations"]
    quantity: ClassVar[str] = "ratio of evaluations"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"evaluations an image: {lookup.text(self.cell)} / {lookup.text(self.other)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio, which was counted and has no error.

        Raises:
            UndecidedError: a cell has none.
        """
        rows = lookup.cells(self.cell)[:1] + lookup.cells(self.other)[:1]
        counts = [_evaluations(row) for row in rows]
        ratio = counts[0] / counts[1]
        exact = Value(value=ratio, low=ratio, high=ratio)
        return SettledMeasurement(
            exact, self.at_least, self.at_most, rows, fewest(rows), relative=True
        )


class ApartTest(TwoCells, Range):
    """How many grey levels the images of two cells differ by in a pixel, from the same noise."""

    test: Literal["apart"]
    quantity: ClassVar[str] = "grey levels apart"
    at_least: float | None = Field(default=None, gt=0, le=255)
    at_most: float | None = Field(default=None, ge=0, le=255)

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return (
            f"grey levels between the images of {lookup.text(self.cell)} and "
            f"{lookup.text(self.other)} from the same noise"
        )

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the difference, by sketches of the first images.

        Raises:
            UndecidedError: the images have no sketches, or are not of the same noise.
        """
        rows = lookup.cells(self.cell)[:1] + lookup.cells(self.other)[:1]
        sketches = []
        for row in rows:
            if row.sample is None or row.sample.sketch is None:
                raise UndecidedError(f"{name_of_row(row)} has no sketch", Verdict.NOT_RUN)
            sketches.append(row.sample.sketch)
        cells = [row.cell for row in rows if row.cell]
        check_alike([{"seed": cell.seed, "model": cell.model} for cell in cells])
        check_alike([{"images": each.images, "values": each.values} for each in sketches])
        apart = float(levels_apart(sketches)[0, 1])
        value = Value(
            value=apart, low=apart * (1 - _SKETCH_ERROR), high=apart * (1 + _SKETCH_ERROR)
        )
        return SettledMeasurement(value, self.at_least, self.at_most, rows, fewest(rows))


def _training_of(row: Row) -> Record:
    if row.training is None or row.training.trained is None:
        raise UndecidedError(f"{name_of_row(row)} was not trained", Verdict.NOT_RUN)
    return row.training


def _parameters(training: Record) -> int:
    assert training.trained
    return training.trained.parameters


def _check_equal(what: str, numbers: Sequence[float], share: float) -> None:
    """Raise UndecidedError if the larger of two numbers is above the other by more than a share."""
    low, high = sorted(numbers)
    if high > low * (1 + share):
        raise UndecidedError(f"not comparable: {what} are {low:.4g} and {high:.4g}")


def _evaluations(row: Row) -> float:
    if row.sample is None or row.sample.timing is None:
        raise UndecidedError(f"{name_of_row(row)} was not timed", Verdict.NOT_RUN)
    return row.sample.timing.network_evaluations


def _slowed_down(row: Row, training: Record) -> float:
    """Return how many times as long a training took at most as it would have without others.

    Raises:
        UndecidedError: others took cores that its threads needed.
    """
    if not training.busy:
        return 1.0
    work = training.provenance
    own = work.threads * work.processes
    alone = [
        each.model_copy(update={"needed": min(own, each.cores)}) for each in training.contention
    ]
    # What a host or a quota withholds may all be taken from the cores of the training itself.
    held = [
        each.model_copy(update={"during": each.during.model_copy(update={"others": 0.0})})
        for each in training.contention
    ]
    lost = (training.model_copy(update={"contention": each}).busy for each in (alone, held))
    if work.device != "cpu" or any(lost):
        why = f"machine was busy: {training.busy} (training {name_of_row(row)})"
        raise UndecidedError(f"not comparable: {why}")
    return 1 + max(each.during.others or 0.0 for each in alone)
