"""The tests of claims that compare diffusion models with GANs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from benchmark.core.values import Value
from benchmark.metrics.uncertainty import across_seeds, difference, mean
from benchmark.records.rows import Row, metric_options
from benchmark.report.measures import (
    Lookup,
    Measurement,
    UndecidedError,
    Verdict,
    check_alike,
    fewest,
    name_of_row,
    shared_distances,
)
from benchmark.report.ranges import Range, TwoCells

_LEAST_POINTS = 8  # of a curve, of which the first and the last quarter are compared
_DIVERGED = 100  # times the first norm of a gradient: such a training has left what it learnt
_LEAST_RUNS = 2  # at each of so many learning rates at least


class ModesTest(Range):
    """The share of the data's modes that the samples of `cell` reach."""

    test: Literal["modes"]
    quantity: ClassVar[str] = "share of modes reached"
    cell: str

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"share of modes reached by {lookup.text(self.cell)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the share."""
        rows = lookup.cells(self.cell)
        share = across_seeds([_of_kind(row, "mode-coverage") for row in rows])
        n = fewest(rows)
        return Measurement(share, self.at_least, self.at_most, rows, n, n)


class FrequenciesTest(TwoCells):
    """The modes of `cell` are nearer to the data's frequencies than those of `other`."""

    test: Literal["frequencies"]
    quantity: ClassVar[str] = "difference of distances of frequencies"
    wanted: ClassVar[str] = "below 0"

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return (
            f"distance of modes' frequencies: {lookup.text(self.cell)} − {lookup.text(self.other)}"
        )

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the difference, at equal numbers of images, on which the distance depends."""
        sides = lookup.cells(self.cell), lookup.cells(self.other)
        rows = [*sides[0], *sides[1]]
        values = [[_of_kind(row, "mode-distance") for row in side] for side in sides]
        check_alike([row.protocol.model_dump() for row in rows if row.protocol])
        found = difference(*map(across_seeds, values))
        n = fewest(rows)
        return Measurement(found, None, 0.0, rows, n, n)


class GradientTest(Range):
    """The norm of the gradient late in a training, in parts of that at its begin.

    They are means over the last and the first quarter of its curve. Over all trainings that fit
    `cell`, whatever their model, it is the geometric mean; the interval is Student's of logarithms.
    """

    test: Literal["gradient"]
    quantity: ClassVar[str] = "gradient late / early"
    cell: str

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return f"norm of the gradient, late / early: {lookup.text(self.cell)}"

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio.

        Raises:
            UndecidedError: there is one training alone, one has told too few norms, one diverged,
                or a norm is 0.
        """
        rows = lookup.every(self.cell)
        ratios = [_late_to_early(row) for row in rows]
        if len(ratios) < _LEAST_RUNS:
            raise UndecidedError(f"one training has no interval: {_LEAST_RUNS} are needed")
        if not all(ratios):
            raise UndecidedError("a gradient vanished altogether")
        found = mean([math.log(ratio) for ratio in ratios])
        assert found.low is not None
        assert found.high is not None
        value = Value(
            value=math.exp(found.value), low=math.exp(found.low), high=math.exp(found.high)
        )
        return Measurement(value, self.at_least, self.at_most, rows, fewest(rows), relative=True)


class SensitivityTest(TwoCells, Range):
    """The spread of distances over learning rates and seeds, of `cell` in parts of `other`'s.

    It is the standard deviation of the logarithm of the distance over all trainings that fit a
    cell, whatever their model. The interval of the ratio is that of the F distribution, as of
    independent normal logarithms.
    """

    test: Literal["sensitivity"]
    quantity: ClassVar[str] = "ratio of spreads"
    rates: int = Field(ge=2, description="Learning rates that are needed of each")

    def measure(self, lookup: Lookup) -> str:
        """Return the words for what is measured."""
        return (
            "spread of the distance over learning rates and seeds: "
            f"{lookup.text(self.cell)} / {lookup.text(self.other)}"
        )

    def measured(self, lookup: Lookup) -> Measurement:
        """Measure the ratio.

        Raises:
            UndecidedError: there are too few trainings, they differ in more than learning rate and
                seed, or their learning rates do.
        """
        from scipy.special import fdtri  # takes longer to import than all else here

        sides = lookup.every(self.cell), lookup.every(self.other)
        first, second = ([*map(math.log, _rates(side, self.rates))] for side in sides)
        steps, others = (np.subtract(each, each[0]) for each in (first, second))
        if len(steps) != len(others) or not np.allclose(steps, others, atol=0.01):
            raise UndecidedError("the learning rates of both are not the same multiples")
        n, _, _ = shared_distances(*sides)
        spreads = [
            float(np.std([math.log(row.distances[n].value) for row in side], ddof=1))
            for side in sides
        ]
        if not all(spreads):
            raise UndecidedError("all distances of one are equal")
        ratio = spreads[0] / spreads[1]
        a, b = (len(side) - 1.0 for side in sides)
        value = Value(
            value=ratio,
            low=ratio / math.sqrt(float(fdtri(a, b, 0.975))),
            high=ratio * math.sqrt(float(fdtri(b, a, 0.975))),
        )
        rows = [*sides[0], *sides[1]]
        return Measurement(value, self.at_least, self.at_most, rows, fewest(rows), n, relative=True)


def _of_kind(row: Row, kind: str) -> Value:
    """Return the value of a metric of a row.

    Raises:
        UndecidedError: it was not measured, or could not be.
    """
    metrics = row.metrics
    for name, value in metrics.values.items() if metrics else ():
        if metrics and metric_options(metrics, name)["kind"] == kind:
            return value
    why = next(
        (
            why
            for name, why in (metrics.missing.items() if metrics else ())
            if metrics and metric_options(metrics, name)["kind"] == kind
        ),
        "",
    )
    verdict = Verdict.CANNOT_TELL if why else Verdict.NOT_RUN
    raise UndecidedError(f"{name_of_row(row)} has no {kind}{why and f': {why}'}", verdict)


def _late_to_early(row: Row) -> float:
    """Return the mean norm of the last quarter of a training's curve over that of the first."""
    norms = row.training.curve.gradient if row.training and row.training.curve else []
    if len(norms) < _LEAST_POINTS:
        raise UndecidedError(
            f"the training of {name_of_row(row)} has {len(norms)} norms of its gradient, and "
            f"{_LEAST_POINTS} are needed",
            Verdict.CANNOT_TELL if norms else Verdict.NOT_RUN,
        )
    if max(norms) > _DIVERGED * norms[0]:
        raise UndecidedError(
            f"the training of {name_of_row(row)} diverged: its gradient grew by more than "
            f"{_DIVERGED} times, and what is small after that has not vanished"
        )
    count = len(norms) // 4
    early = math.fsum(norms[:count])
    return math.fsum(norms[-count:]) / early if early else 0.0


def _rates(rows: Sequence[Row], least: int) -> list[float]:
    """Return the learning rate of each training, rising."""
    trainings = [row.training for row in rows if row.training and row.training.trained]
    found = [dict(training.spec.get("training", {})) for training in trainings]
    rates = sorted(float(settings.pop("lr", 0.0)) for settings in found)
    runs = [rates.count(rate) for rate in set(rates)]
    if len(runs) < least or min(runs) < _LEAST_RUNS or len(trainings) < len(rows):
        raise UndecidedError(
            f"{len(rows)} trainings of {len(runs)} learning rates: {_LEAST_RUNS} of each of "
            f"{least} are needed",
            Verdict.NOT_RUN,
        )
    check_alike(
        [
            {"training": settings, "network": training.spec.get("network")}
            for settings, training in zip(found, trainings, strict=True)
        ]
    )
    return rates
