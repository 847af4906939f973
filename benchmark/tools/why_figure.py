"""A Fréchet distance by a recipe, and differences between two recipes on the same images.

All recipes leave the same images out in turn, in the groups of one jackknife. The interval of a
difference is that of the differences without each group: what the choice of images does to both
figures alike cancels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.frechet import (
    GaussianStats,
    SubsetDistance,
    frechet_distance,
    statistics,
)
from benchmark.metrics.frechet_infinity import FrechetInfinity
from benchmark.metrics.uncertainty import jackknife_value, with_error
from benchmark.tools.choices.base import Facts, Recipe, Side
from benchmark.tools.why_features import FeatureStore

GROUPS = 20
FEWEST_GROUPS = 3  # of few units
SHARES = 4  # into so many parts a group can be divided: see `Groups.rows`
SEED = 0  # deals the images to the groups, and draws subsets


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of the jackknife. Equal images are one unit, and in one group.

    Attributes:
        first: for each image the number of the first one that is equal to it, of shape (n,).
        group: the group of each image, of shape (n,); −1: it is in none, and never left out.
        rank: place of each image's unit in its group, of shape (n,).
        size: units in a group.
        units: number of units.
    """

    first: NDArray[np.intp]
    group: NDArray[np.intp]
    rank: NDArray[np.intp]
    size: int
    units: int

    @classmethod
    def of(cls, first: NDArray[np.intp]) -> Groups:
        """Deal units into at most `GROUPS` groups, of a multiple of `SHARES` units if possible.

        Args:
            first: for each image the number of the first one that equals it, of shape (n,).
        """
        known = np.unique(first)
        units = len(known)
        size = SHARES * -(-units // (GROUPS * SHARES))
        if units // size < FEWEST_GROUPS:
            size = -(-units // FEWEST_GROUPS)
        place = np.empty(units, np.intp)
        place[np.random.default_rng(SEED).permutation(units)] = np.arange(units)
        group, rank = np.divmod(place[np.searchsorted(known, first)], size)
        group[group >= units // size] = -1
        return cls(first, group, rank, size, units)

    @property
    def number(self) -> int:
        """The number of groups."""
        return self.units // self.size

    def rows(self, side: Side) -> NDArray[np.intp]:
        """Return the numbers of the images that a side takes, of shape (m,).

        A part of them has the same share of each group, so that it is a subset of larger parts.
        """
        rest = self.units % self.size
        share = np.where(self.group < 0, round(side.part * rest), round(side.part * self.size))
        kept = self.rank < share
        if side.distinct:
            kept &= self.first == np.arange(len(self.first))
        return np.flatnonzero(kept)


@dataclass(frozen=True, eq=False)
class Figure:
    """A distance, and what it is without each group of images.

    Attributes:
        value: the distance.
        left_out: the distance without each group, of shape (groups,).
        error: a further standard error, of an extrapolation, that is independent of the images.
    """

    value: float
    left_out: NDArray[np.float64]
    error: float = 0.0

    def __sub__(self, other: Figure) -> Figure:
        """Return the difference of two figures of the same images."""
        error = math.hypot(self.error, other.error)
        return Figure(self.value - other.value, self.left_out - other.left_out, error)

    def __add__(self, other: Figure) -> Figure:
        """Return the sum of two figures of the same images."""
        error = math.hypot(self.error, other.error)
        return Figure(self.value + other.value, self.left_out + other.left_out, error)

    def to_value(self, groups: Groups) -> Value:
        """Return the figure with its interval, by the jackknife over these groups."""
        found = jackknife_value(self.value, self.left_out.tolist(), groups.units, groups.size)
        if not self.error:
            return found
        assert found.std_error is not None
        return with_error(self.value, math.hypot(found.std_error, self.error), groups.number - 1)


class Measurer:
    """Computes the figure of a recipe.

    Args:
        store: has the features.
        real: what is known of the paths of the reference, by path; all that may be read.
        fake: what is known of the judged images.
    """

    def __init__(self, store: FeatureStore, real: dict[Path, Facts], fake: Facts) -> None:
        self._store, self._real = store, real
        self.groups = Groups.of(fake.first)
        self._reference = functools.lru_cache(maxsize=4)(self._compute_reference)

    def figure(self, recipe: Recipe) -> Figure:
        """Return the figure of a recipe.

        Raises:
            BenchmarkError: it cannot be computed.
        """
        reference = self._reference(recipe.real, recipe.extractor)
        count = len(self.groups.first)
        rows = self.groups.rows(recipe.fake)
        features = self._store.features(recipe.fake, recipe.extractor)[:count]
        if len(rows) < count:
            features = features[rows]
        distance = SubsetDistance(features, reference)
        group = self.groups.group[rows]
        left_out = np.array(
            [distance(np.flatnonzero(group != g)) for g in range(self.groups.number)]
        )
        found = Figure(frechet_distance(statistics(features), reference), left_out)
        return self._endless(found, distance, len(rows)) if recipe.endless else found

    def _endless(self, found: Figure, distance: SubsetDistance, count: int) -> Figure:
        """Return the figure of infinitely many images.

        It follows a change of the images as that of all of them does: the weights of the points
        of the line add up to 1.
        """
        metric = FrechetInfinity()
        rng = np.random.default_rng(metric.seed)
        at_all, endless, error = metric.extrapolated(distance, count, rng)
        moved = endless - at_all
        return Figure(found.value + moved, found.left_out + moved, error)

    def _compute_reference(self, side: Side, extractor: str) -> GaussianStats:
        known = [self._real[path] for path in side.paths]
        if any(facts.holds == "statistics" for facts in known):
            if len(known) > 1:
                raise BenchmarkError(
                    f"{side.paths[0]}: statistics cannot be joined with images: give images"
                )
            return self._store.statistics(side.paths[0], extractor)
        features = self._store.features(side, extractor)
        rows = Groups.of(joined([facts.first for facts in known])).rows(side)
        return statistics(features if len(rows) == len(features) else features[rows])


def joined(firsts: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """Return for each image of several sets, one behind the other, the first equal one (n)."""
    starts = np.cumsum([0, *map(len, firsts)])
    return np.concatenate([first + start for first, start in zip(firsts, starts, strict=False)])
