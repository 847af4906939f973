"""Precision, recall, density and coverage: how the sets lie in each other's neighbourhoods.

Each image of a set is the centre of a ball that reaches to its k-th nearest other image of that
set. Precision and recall are of Kynkäänniemi et al. (2019, eq. 1 and 2), density and coverage of
Naeem et al. (2020, eq. 6 and 7). Balls are open, as in the latter authors' program `prdc`: an
image on the border is outside. That is so for repeated images and for features of few values, and
it is decided within the rounding of a distance, which may not tell such images from inner ones.
Pairs of images are looked at a block at a time and only counted, so that memory does not grow with
how many lie in each other's balls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, Sizes, check_pair
from benchmark.metrics.distances import (
    Float64,
    check_k,
    column_medians,
    kth_neighbour,
    rounding,
    row_slices,
    squared_distances,
)
from benchmark.metrics.uncertainty import wilson

ROUNDING = 1e-12  # a smaller standard error is 0 but for rounding


class AmongReal(Metric):
    """What precision, density and coverage share: balls round the real images."""

    k: int = Field(default=5, ge=1, description="A ball reaches to the k-th nearest other image")
    higher_is_better = True

    def check_sizes(self, sizes: Sizes) -> None:
        """Refuse balls that reach to more neighbours than there are real images."""
        check_k(self.k, sizes.real, "real")


class Manifold(NamedTuple):
    """Which images lie in which balls, and the four metrics that follow.

    Attributes:
        k: a ball reaches to the k-th nearest other image.
        balls: for each fake image, the number of real images' balls that it lies in (N).
        recalled: whether each real image lies in the ball of a fake one (M).
        covered: whether the ball of each real image holds a fake one (M).
    """

    k: int
    balls: NDArray[np.int64]
    recalled: NDArray[np.bool_]
    covered: NDArray[np.bool_]

    @property
    def precision(self) -> float:
        """Share of fake images in a real ball."""
        return float(np.mean(self.balls > 0))

    @property
    def recall(self) -> float:
        """Share of real images in a fake ball."""
        return float(self.recalled.mean())

    @property
    def density(self) -> float:
        """Real balls round a fake image on average, over k."""
        return float(self.balls.mean() / self.k)

    @property
    def coverage(self) -> float:
        """Share of real balls that hold a fake image."""
        return float(self.covered.mean())


def manifold(fake: Features, real: Features, k: int) -> Manifold:
    """Return what all four metrics follow from, of fake (N×d) and real (M×d), in one pass.

    Raises:
        BenchmarkError: unusable features, k not below N and M, or so many equal images that every
            ball is empty.
    """
    check_pair(fake, real)
    real_radii, fake_radii = squared_radii(real, k, "real"), squared_radii(fake, k, "fake")
    centre = column_medians(real)
    found = Manifold(
        k, np.zeros(len(fake), np.int64), np.zeros(len(real), bool), np.zeros(len(real), bool)
    )
    for rows in row_slices(len(real)):
        for columns in row_slices(len(fake)):
            distances = squared_distances(real[rows], fake[columns], centre)
            in_real = distances < real_radii[rows, None]
            found.balls[columns] += in_real.sum(axis=0)
            found.covered[rows] |= in_real.any(axis=1)
            found.recalled[rows] |= (distances < fake_radii[columns]).any(axis=1)
    return found


def squared_radii(x: Features, k: int, name: str) -> Float64:
    """Return the squared radii (n) of the balls of the rows of x (n×d).

    Raises:
        BenchmarkError: k is not below n, or every ball is empty.
    """
    radii = open_balls(kth_neighbour(x, k, name), x.shape[1])
    refuse_empty(radii, k, name)
    return radii


def open_balls(radii: Float64, dimension: int) -> Float64:
    """Return squared radii (n), reduced by what rounding may add to them and to a distance.

    Only so are balls open: rounding does not bring an image on the border inside.

    Args:
        radii: squared radii of n balls (n).
        dimension: dimension of the features.
    """
    return radii * (1 - 2 * rounding(dimension))


def closed_balls(radii: Float64, dimension: int) -> Float64:
    """Return squared radii (n) of open balls that hold the borders of those of `squared_radii`.

    Args:
        radii: squared radii of n balls (n); of one of radius 0 the border is its centre.
        dimension: dimension of the features.
    """
    return np.nextafter(radii * (1 + 4 * rounding(dimension)), np.inf)


def refuse_empty(radii: Float64, k: int, name: str) -> None:
    """Refuse a set of balls that all have the radius 0.

    Args:
        radii: squared radii of the balls of N images (N).
        k: number of the neighbour to which they reach.
        name: what the message calls the images.

    Raises:
        BenchmarkError: they are all empty.
    """
    if not radii.any():
        raise BenchmarkError(
            f"{name}: every image has {k} equal ones, so its neighbourhood is empty: the features "
            "are constant, or k is too small for so many copies"
        )


def real_balls(fake: Features, real: Features, k: int) -> NDArray[np.int64]:
    """Return in how many balls of real images (M×d) each fake one (N×d) lies (N)."""
    check_pair(fake, real)
    return balls_round(fake, real, squared_radii(real, k, "real"))


def balls_round(x: Features, real: Features, radii: Float64) -> NDArray[np.int64]:
    """Return in how many open balls of real images, M×d, each row of x, N×d, lies (N).

    Args:
        x: images.
        real: the centres.
        radii: squared radii of the balls (M).
    """
    centre, counts = column_medians(real), np.zeros(len(x), np.int64)
    for rows in row_slices(len(real)):
        for columns in row_slices(len(x)):
            inside = squared_distances(real[rows], x[columns], centre) < radii[rows, None]
            counts[columns] += inside.sum(axis=0)
    return counts


def held_by_group(
    fake: Features, real: Features, radii: Float64, group: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return how many images of each of G groups the open ball of each real image holds, M×G.

    Args:
        fake: images in the order of their groups, N×d.
        real: the centres, M×d.
        radii: squared radii of the balls (M).
        group: the group of each image, from 0 and ascending (N).
    """
    centre = column_medians(real)
    held = np.zeros((len(real), group[-1] + 1), np.int32)
    for rows in row_slices(len(real)):
        for columns in row_slices(len(fake)):
            inside = squared_distances(real[rows], fake[columns], centre) < radii[rows, None]
            groups_here, first = np.unique(group[columns], return_index=True)
            held[rows, groups_here] += np.add.reduceat(inside, first, axis=1, dtype=np.int32)
    return held


def realism(fake: Features, real: Features, k: int) -> Float64:
    """Return the realism of each fake image (N×d), from real ones (M×d): 1 or more inside a ball.

    It is the largest ratio of the radius of a real image's ball, which reaches to its k-th
    neighbour, to the distance of the fake image from that image. The half of the real images with
    the larger balls is left out.

    Raises:
        BenchmarkError: unusable features, k not below M, or so many equal images that every ball is
            empty.

    Source: Kynkäänniemi et al. 2019, equation 4.
    """
    check_pair(fake, real, least=1)
    radii, centre = squared_radii(real, k, "real"), column_medians(real)
    kept = np.flatnonzero(radii <= np.median(radii))
    largest = np.zeros(len(fake))
    for rows in row_slices(len(kept)):
        chosen = kept[rows]
        for columns in row_slices(len(fake)):
            distances = squared_distances(real[chosen], fake[columns], centre)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = np.nan_to_num(radii[chosen, None] / distances, posinf=np.inf)
            largest[columns] = np.maximum(largest[columns], ratios.max(axis=0))
    return np.sqrt(largest)


def within_bounds(value: Value, independent: float) -> Value:
    """Return the value with its interval cut to [0, 1].

    At 0 and 1, and if the error is 0, the interval is at least Wilson's.

    Args:
        value: a share with its interval.
        independent: number of independent images for Wilson's interval.
    """
    low, high = max(0.0, value.low or 0.0), min(1.0, value.high or 0.0)
    none = (value.std_error or 0.0) < ROUNDING
    if none or value.value in (0, 1):
        least = wilson(value.value, independent)
        low, high = min(low, least[0]), max(high, least[1])
    error = None if none else value.std_error
    return Value(value=value.value, std_error=error, low=low, high=high)
