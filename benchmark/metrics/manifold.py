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

from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict import Groups, Seed
from benchmark.core.values import Value
from benchmark.metrics.base import (
    METRICS,
    Features,
    Sizes,
    check_pair,
    higher_is_better,
    requires,
)
from benchmark.metrics.distances import (
    Float64,
    check_k,
    kth_neighbour,
    kth_neighbour_without,
    middle,
    rounding,
    row_slices,
    squared_distances,
)
from benchmark.metrics.uncertainty import (
    deal,
    from_left_out,
    proportion,
    wilson,
    with_error,
)

Neighbours = Annotated[int, Field(ge=1)]

ROUNDING = 1e-12  # far below 1/M, the least error but 0


def _of_real(sizes: Sizes, *, k: int, **_: object) -> None:
    """Refuse balls round real images that reach to more neighbours than there are."""
    check_k(k, sizes.real, "real")


def _of_fake(sizes: Sizes, *, k: int, groups: int, **_: object) -> None:
    """Refuse balls round fake images that reach to too many, also when a group is left out."""
    n, size = sizes.fake, -(-sizes.fake // groups)
    if not 1 <= k < n - size:
        raise BenchmarkError(
            f"fake: k = {k} neighbours among {n} images, {size} of them left out in turn: "
            f"k must be 1 to {n - size - 1}"
        )


@METRICS.register("precision")
@requires(_of_real)
@higher_is_better
def precision(fake: Features, real: Features, *, k: Neighbours = 5) -> Value:
    """Return the share of fake images (N×d) in the ball of some real one (M×d).

    The interval is Wilson's over the fake images.

    Raises:
        BenchmarkError: unusable features, or k ≥ M.
    """
    return proportion(_balls(fake, real, k) > 0)


@METRICS.register("density")
@requires(_of_real)
@higher_is_better
def density(fake: Features, real: Features, *, k: Neighbours = 5) -> Value:
    """Return in how many balls of real images (M×d) a fake one (N×d) lies on average, over k.

    The error is that of a mean over the fake images. Where all of them lie in equally many balls,
    as in none, it would be 0. Instead, up to a share w of the model's images may do otherwise, of
    which N show none: w is Wilson's upper end of 0 in N, close to the rule of three (Hanley and
    Lippman-Hand 1983). They lie in no ball or in k more, as many as an image of the real
    distribution on average (Naeem et al. 2020), so the interval reaches w·density
    down and w up.

    Raises:
        BenchmarkError: unusable features, or k ≥ M.
    """
    balls = _balls(fake, real, k) / k
    if balls.min() == balls.max():
        value, share = float(balls[0]), wilson(0, len(balls))[1]
        return Value(value=value, low=value * (1 - share), high=value + share)
    error = float(balls.std(ddof=1) / np.sqrt(len(balls)))
    found = with_error(float(balls.mean()), error, len(balls) - 1)
    return found.model_copy(update={"low": max(0.0, found.low or 0.0)})


@METRICS.register("recall")
@requires(_of_fake)
@higher_is_better
def recall(
    fake: Features, real: Features, *, k: Neighbours = 5, groups: Groups = 10, seed: Seed = 0
) -> Value:
    """Return the share of real images (M×d) in the ball of some fake one (N×d).

    At 0 and 1, and where the jackknife sees no spread (there is no standard error then), the
    interval is at least Wilson's of min(N/k, M) images: balls that hold k of N images overlap, so
    that about N/k of them stand for themselves (clusters of k, Kish 1965).

    Args:
        fake: N×d.
        real: M×d.
        k: below N, also when a group is left out.
        groups: of the jackknife over the fake images.
        seed: deals the groups.

    Raises:
        BenchmarkError: unusable features, or k too large.
    """
    check_pair(fake, real)
    n = len(fake)
    order, size = deal(n, groups, np.random.default_rng(seed))
    _of_fake(Sizes(n, *real.shape), k=k, groups=groups)
    fake = fake[order]
    radii = _open(kth_neighbour_without(fake, k, n // size, size), fake.shape[1])
    _refuse_empty(radii[:, -1], k, "fake")
    hits, centre = np.zeros((len(real), radii.shape[1]), bool), middle(real)
    for points in row_slices(len(real)):
        for balls in row_slices(n):
            distances = squared_distances(real[points], fake[balls], centre)
            for group in range(radii.shape[1]):
                hits[points, group] |= (distances < radii[balls, group]).any(axis=1)
    *left_out, value = hits.mean(axis=0).tolist()
    return _share(from_left_out(value, left_out, n, size), min(n / k, len(real)))


@METRICS.register("coverage")
@requires(_of_real)
@higher_is_better
def coverage(
    fake: Features, real: Features, *, k: Neighbours = 5, groups: Groups = 50, seed: Seed = 0
) -> Value:
    """Return the share of real images (M×d) whose ball holds some fake one (N×d).

    At 0 and 1, and where the jackknife sees no spread, the interval is at least Wilson's of
    min(N, M/k) images: one fake image lies in the balls of about k real ones at once; see `recall`.

    Args:
        fake: N×d.
        real: M×d.
        k: below M.
        groups: of the jackknife over the fake images.
        seed: deals the groups.

    Raises:
        BenchmarkError: unusable features, or k ≥ M.
    """
    check_pair(fake, real)
    radii, centre, n = _radii(real, k, "real"), middle(real), len(fake)
    order, size = deal(n, groups, np.random.default_rng(seed))
    fake, group = fake[order], np.arange(n) // size  # the remainder, if any, is the last group
    hits = np.zeros((len(real), group[-1] + 1), bool)  # whether a ball holds an image of a group
    for rows in row_slices(len(real)):
        for columns in row_slices(n):
            inside = squared_distances(real[rows], fake[columns], centre) < radii[rows, None]
            groups_here, first = np.unique(group[columns], return_index=True)
            hits[rows, groups_here] |= np.logical_or.reduceat(inside, first, axis=1)
    count = np.count_nonzero(hits, axis=1)
    left_out = [float(np.mean(count > hits[:, group])) for group in range(n // size)]
    found = from_left_out(float(np.mean(count > 0)), left_out, n, size)
    return _share(found, min(n, len(real) / k))


class Manifold(NamedTuple):
    """Which images lie in which balls, and the four shares that follow."""

    k: int
    balls: NDArray[np.int64]  # of real images, round each fake one (N)
    recalled: NDArray[np.bool_]  # whether a real image lies in a fake one's ball (M)
    covered: NDArray[np.bool_]  # whether a real image's ball holds a fake one (M)

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
    real_radii, fake_radii = _radii(real, k, "real"), _radii(fake, k, "fake")
    centre = middle(real)
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


def _radii(x: Features, k: int, name: str) -> Float64:
    """Return the squared radii of the balls of the rows of x."""
    radii = _open(kth_neighbour(x, k, name), x.shape[1])
    _refuse_empty(radii, k, name)
    return radii


def _open(radii: Float64, dimension: int) -> Float64:
    """Return squared radii less what rounding may add to them and to a distance: balls are open."""
    return radii * (1 - 2 * rounding(dimension))


def _refuse_empty(radii: Float64, k: int, name: str) -> None:
    if not radii.any():
        raise BenchmarkError(
            f"{name}: every image has {k} equal ones, so its neighbourhood is empty: the features "
            "are constant, or k is too small for so many copies"
        )


def _balls(fake: Features, real: Features, k: int) -> NDArray[np.int64]:
    """Return in how many balls of real images (M×d) each fake one (N×d) lies (N)."""
    check_pair(fake, real)
    radii, centre = _radii(real, k, "real"), middle(real)
    counts = np.zeros(len(fake), np.int64)
    for rows in row_slices(len(real)):
        for columns in row_slices(len(fake)):
            inside = squared_distances(real[rows], fake[columns], centre) < radii[rows, None]
            counts[columns] += inside.sum(axis=0)
    return counts


def _share(value: Value, independent: float) -> Value:
    """Cut the interval to [0, 1]; at either, and without an error, Wilson's is its least."""
    low, high = max(0.0, value.low or 0.0), min(1.0, value.high or 0.0)
    none = (value.std_error or 0.0) < ROUNDING
    if none or value.value in (0, 1):
        least = wilson(value.value, independent)
        low, high = min(low, least[0]), max(high, least[1])
    error = None if none else value.std_error
    return Value(value=value.value, std_error=error, low=low, high=high)
