"""Are samples copies of training images? Each measure compares them with held-out real images.

A small distance to the training set proves nothing by itself: real images that the model has never
seen may lie as close. `memorisation` measures a whole set of samples, by features or by pixels;
`copies` and `accused` point out single samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.metrics.base import Features, Figures
from benchmark.metrics.distances import Float64, column_medians, row_slices, squared_distances
from benchmark.metrics.neighbours import nearest
from benchmark.metrics.uncertainty import Z95, bootstrap, percentile_interval, proportion
from benchmark.storage.arrays import release_pages

_SIDE = 16  # pixels; larger images are averaged down to it, which compression changes least
DUPLICATE = 0.1  # images closer than this share of the median nearest distance count as one
MEMORISATION = ("distance_ratio", "closer_share", "data_copying", "authenticity")
_SLACK = 1e-6  # far above the relative error of a distance, whichever way it is computed
CLUSTERED = 20_000  # training images of which k-means makes the cells of C_T, at most
FEWEST_IN_CELL = 20  # samples; a cell of C_T with fewer is left out


@dataclass(frozen=True, eq=False)
class Bank:
    """The training images without near-duplicates."""

    rows: NDArray[np.int64]  # their row numbers among all training images (K)
    gaps: Float64  # the distance of each to the nearest of the others (K)


def memorisation(
    generated: Features,
    held_out: Features,
    train: Features,
    bank: Bank,
    *,
    cells: int = 5,
    seed: int = 0,
) -> Figures:
    """Return four figures of how much closer samples are to the training set than unseen images.

    Args:
        generated: features or `pixels` of the samples, N×d.
        held_out: the same of real images that were not trained on, M×d.
        train: the same of the training images, L×d.
        bank: `distinct(train)`.
        cells: number of cells into which k-means divides the space for C_T.
        seed: seed of the random generators of k-means and of the bootstrap.

    Returns:
        The values that `MEMORISATION` names: see the functions of these names.

    Raises:
        BenchmarkError: unusable features.
    """
    own = nearest(generated, train, 1)[0][:, 0]
    other = nearest(held_out, train, 1)[0][:, 0]

    def copying() -> Value:
        own_cell, other_cell = divide(
            train, cells, np.random.default_rng(seed), generated, held_out
        )
        return data_copying(own, own_cell, other, other_cell)

    figures: dict[str, Callable[[], Value]] = {
        "distance_ratio": lambda: distance_ratio(own, other, np.random.default_rng(seed)),
        "closer_share": lambda: closer_share(own, other),
        "data_copying": copying,
        "authenticity": lambda: authenticity(generated, train, bank),
    }
    found = Figures({}, {})
    for name, figure in figures.items():
        found.add(name, figure)
    return found


def distance_ratio(own: Float64, held_out: Float64, rng: np.random.Generator) -> Value:
    """Return the median distance of samples to the training set over that of held-out images.

    About 1: samples are as far as unseen images are. Below 1: closer, towards copies. The interval
    is the bootstrap's over both (1,000 replicates).

    Args:
        own: distance of each sample to its nearest training image (N).
        held_out: the same of real images that were not trained on (M).
        rng: draws the replicates of the bootstrap.

    Raises:
        BenchmarkError: a quarter of the held-out images are in the training set, or so many of few
            that the median of a replicate is 0.
    """
    if np.percentile(held_out, 25) == 0:
        raise BenchmarkError(
            "held-out: a quarter of its images are in the training set too: keep them apart"
        )

    def medians(distances: Float64) -> Float64:
        return bootstrap(lambda rows: float(np.median(distances[rows])), len(distances), 1000, rng)

    value = float(np.median(own) / np.median(held_out))
    above, below = medians(own), medians(held_out)
    if not below.all():
        raise BenchmarkError(
            f"held-out: {np.count_nonzero(held_out == 0)} of {len(held_out)} images are in the "
            "training set too, so many of so few that the ratio has no interval: keep them apart"
        )
    found = percentile_interval(value, above / below)  # is shifted, and may then begin below 0
    return found.model_copy(update={"low": max(0.0, found.low or 0.0)})


def closer_share(own: Float64, held_out: Float64) -> Value:
    """Return the largest excess of samples within some distance of the training set, in [0, 1].

    It is the one-sided Smirnov statistic, max over r of F(r) − G(r) with the shares F of samples
    (N) and G of held-out images (M) within r. If a share of the samples are copies and the others
    lie as unseen images do, then at least this share are copies, up to the interval: its lower end
    is above 0 where the test of Smirnov (1939) says so at 2.5 %. Noise alone makes the value
    positive. Unlike the median it sees copies that are no closer than the closest unseen images.
    """
    own, held_out = np.sort(own), np.sort(held_out)
    within = np.searchsorted(held_out, own, side="right") / len(held_out)
    value = max(0.0, float((np.arange(1, len(own) + 1) / len(own) - within).max()))
    margin = math.sqrt(math.log(1 / 0.025) / 2 * (1 / len(own) + 1 / len(held_out)))
    return Value(value=value, low=max(0.0, value - margin), high=min(1.0, value + margin))


def data_copying(
    own: Float64, own_cell: NDArray[np.int64], held_out: Float64, held_out_cell: NDArray[np.int64]
) -> Value:
    """Return the statistic C_T: below 0, samples are closer to the training set than unseen images.

    In each cell of space the Mann–Whitney statistic of the distances to the nearest training image
    is standardised; C_T is the mean over cells, weighted by held-out images. Without copying it is
    about normal around 0 with the standard error given. Cells with fewer than 20 samples or no
    held-out image are left out.

    Args:
        own: distance of each sample to its nearest training image (N).
        own_cell: the cell in which it lies (N).
        held_out: the same of real images that were not trained on (M).
        held_out_cell: their cells (M).

    Raises:
        BenchmarkError: no cell with enough samples.

    Source: Meehan, Chaudhuri and Dasgupta 2020, section 4.
    """
    scores, weights = [], []
    for cell in np.unique(held_out_cell):
        in_own, in_other = own[own_cell == cell], held_out[held_out_cell == cell]
        if len(in_own) >= FEWEST_IN_CELL:
            scores.append(_mann_whitney(in_own, in_other))
            weights.append(len(in_other))
    if not scores:
        raise BenchmarkError(
            f"data copying: no cell holds {FEWEST_IN_CELL} of {len(own)} samples and a held-out "
            "image: sample more, or take fewer cells"
        )
    share = np.array(weights) / sum(weights)
    value, error = float(share @ scores), float(np.linalg.norm(share))
    return Value(value=value, std_error=error, low=value - Z95 * error, high=value + Z95 * error)


def divide(
    train: Features, cells: int, rng: np.random.Generator, *sets: Features
) -> list[NDArray[np.int64]]:
    """Divide space by k-means on `train` (L×d) and return the cell of each row of each set.

    Of more than `CLUSTERED` training images every second, third … is taken.

    Raises:
        BenchmarkError: more cells than distinct training images.
    """
    from scipy.cluster.vq import kmeans2

    taken = train[:: -(-len(train) // CLUSTERED)].copy()
    release_pages(train)
    most = len(np.unique(taken, axis=0))
    if not 1 <= cells <= most:
        raise BenchmarkError(f"cells: {cells} of {most} distinct training images: 1 to {most}")
    centre = column_medians(taken)
    centroids = centre + kmeans2(taken - centre, cells, minit="++", rng=rng)[0]
    return [squared_distances(rows, centroids, centre).argmin(axis=1) for rows in sets]


def authenticity(generated: Features, train: Features, bank: Bank) -> Value:
    """Return AuthPct, the percentage of samples (N×d) that are authentic.

    A sample is authentic if its nearest training image lies closer to another training image than
    to it. Near-duplicates within the training set (L×d, L ≥ 2) count as one image: the copy of an
    image that is there twice would pass otherwise. A fixed share of unseen images fails this test
    too: compare with the held-out set's. `bank` is `distinct(train)`.

    Raises:
        BenchmarkError: unusable features, or all training images alike.

    Source: Alaa et al. 2022, section 4.
    """
    if len(bank.rows) < 2:
        raise BenchmarkError("authenticity: all training images are alike")
    distances, index = nearest(generated, train, 1, bank.rows)
    share = proportion(bank.gaps[index[:, 0]] < distances[:, 0])
    return Value(**{key: 100 * value for key, value in share.model_dump().items()})


class Copies(NamedTuple):
    """How close each of N queries comes to a training image, in pixels.

    Attributes:
        score: calibrated distance (N); Carlini et al. (2023) call a query with at most 1 a copy.
        distance: root mean square difference of pixels in [0, 1] (N).
        train_index: row number of the training image (N).
        mirrored: whether the query is closer to it after a horizontal flip (N).
    """

    score: Float64
    distance: Float64
    train_index: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def copies(
    queries: NDArray[np.uint8],
    train: NDArray[np.uint8],
    bank: Bank,
    *,
    neighbours: int = 50,
    alpha: float = 0.5,
) -> Copies:
    """Return the calibrated ℓ2 distance of images to their nearest training image, flips allowed.

    It is ℓ2(x̂, x) / (α · mean of ℓ2(x̂, y) over the nearest training images y), small only where
    one image is much closer than the others, and so fair to plain images, to which many are close.
    Near-duplicates in the training set count as one image: else a copy of an image that is there
    often has no far neighbours to be compared with.

    Args:
        queries: uint8, N×H×W×C.
        train: uint8, L×H×W×C, of the same size.
        bank: `distinct(pixels(train))`.
        neighbours: number of nearest training images in the mean, at most the distinct ones.
        alpha: the factor α.

    Raises:
        BenchmarkError: sizes differ, or fewer distinct training images than `neighbours`.

    Source: Carlini et al. 2023, section 5.1, with α = 0.5 and 50 neighbours.
    """
    if queries.shape[1:] != train.shape[1:]:
        raise BenchmarkError(
            f"copies: images of shape {queries.shape[1:]} and {train.shape[1:]} cannot be "
            "compared: use one resolution"
        )
    originals = pixels(train)
    straight = nearest(pixels(queries), originals, neighbours, bank.rows)
    flipped = nearest(pixels(queries[:, :, ::-1]), originals, neighbours, bank.rows)
    distances, index = _merge(straight, flipped)
    mean = distances[:, :neighbours].mean(axis=1)
    score = np.divide(distances[:, 0], alpha * mean, out=np.zeros(len(queries)), where=mean > 0)
    mirrored = flipped[0][:, 0] < straight[0][:, 0]
    return Copies(score, distances[:, 0], bank.rows[index[:, 0]], mirrored)


def accused(
    scores: Float64, held_out_scores: Float64, *, false_discovery_rate: float
) -> NDArray[np.bool_]:
    """Return which samples (N) come closer to the training set than chance allows.

    Scores are small for copies. A sample's p-value is its rank among the held-out images, which is
    exact when they and an innocent sample come from one distribution; of all that are accused, at
    most the given rate is innocent on average. The smallest p-value is 1/(M + 1) with M held-out
    images, so that few copies among many samples escape: `least_accused` tells how few, and
    `closest` finds that there are some.

    Args:
        scores: scores of the samples (N).
        held_out_scores: scores of the held-out images (M).
        false_discovery_rate: largest mean share of innocent samples among the accused, in (0, 1).

    Returns:
        Whether each sample is accused (N).

    Source: Benjamini and Hochberg 1995; for p-values by rank Bates et al. 2023, theorem 1.
    """
    p_values = rank_p_values(scores, held_out_scores)
    ascending = np.sort(p_values)
    line = false_discovery_rate * np.arange(1, len(scores) + 1) / len(scores)
    below = np.flatnonzero(ascending <= line)
    if not below.size:
        return np.zeros(len(scores), bool)
    rejected: NDArray[np.bool_] = p_values <= ascending[below[-1]]
    return rejected


def rank_p_values(scores: Float64, held_out_scores: Float64) -> Float64:
    """Return the p-value of each sample (N) to be no copy: its rank among the held-out images (M).

    Source: Bates et al. 2023, theorem 1.
    """
    ranks = np.searchsorted(np.sort(held_out_scores), scores, side="right")
    return np.asarray((1 + ranks) / (1 + len(held_out_scores)))


def least_accused(samples: int, held_out: int, *, false_discovery_rate: float) -> int:
    """Return how many of the samples must be copies before `accused` accuses any.

    Even copies have no p-value below 1/(M + 1) with M held-out images, and r of N samples are
    rejected only at p ≤ rate · r/N.
    """
    return math.ceil(samples / (false_discovery_rate * (held_out + 1)) - 1e-9)


def closest(scores: Float64, held_out_scores: Float64) -> tuple[NDArray[np.bool_], float]:
    """Return which samples score below all held-out images, and the p-value of their number.

    If no sample is a copy, samples and held-out images come from one distribution, and the k
    smallest scores are all of samples with the probability N/(N+M) · (N-1)/(N+M-1) · …, of k
    factors. The test does not tell which of them are copies: N/(M+1) are expected even without any.

    Args:
        scores: scores of the samples (N).
        held_out_scores: scores of the held-out images (M).

    Returns:
        Whether each sample is below all held-out images (N), and the p-value in (0, 1].

    Source: the precedence test, Nelson 1963, with the first failure.
    """
    below: NDArray[np.bool_] = scores < held_out_scores.min()
    n, m = len(scores), len(held_out_scores)
    chances = [(n - i) / (n + m - i) for i in range(int(below.sum()))]
    return below, math.prod(chances)


def distinct(features: Features) -> Bank:
    """Return the rows (N×d, N ≥ 2) that are left when near-duplicates are dropped, in order.

    Rows are near-duplicates if their distance is below a tenth of the median distance of a row to
    its nearest other one; among such the first is kept.
    """
    distances, found = nearest(features, features, 2)
    gaps = distances[:, 1]
    if not gaps.any():
        return Bank(np.zeros(1, np.int64), np.full(1, np.inf))
    radius = DUPLICATE * float(np.median(gaps[gaps > 0]))
    crowded = np.flatnonzero(gaps <= radius * (1 + _SLACK))
    dropped = np.zeros(len(features), bool)
    dropped[np.setdiff1d(crowded, _leaders(features, crowded, radius))] = True
    kept = np.flatnonzero(~dropped)
    # Only a row whose nearest one was dropped has another gap now.
    again = np.flatnonzero(dropped[found[kept]].any(axis=1))
    left = gaps[kept]
    if again.size:
        left[again] = nearest(features[kept[again]], features, 2, kept)[0][:, 1]
    return Bank(kept, left)


def _leaders(features: Features, among: NDArray[np.int64], radius: float) -> NDArray[np.int64]:
    """Return those of some rows that are kept: each that is not near an earlier one kept.

    Args:
        features: N×d.
        among: row numbers, ascending (K).
        radius: rows that are no farther apart are near.
    """
    centre = column_medians(features)

    def near(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        return squared_distances(features[a], features[b], centre) <= radius**2

    kept = np.zeros(0, np.int64)
    for rows in row_slices(len(among)):
        new = among[rows]
        for earlier in row_slices(len(kept)):
            new = new[~near(new, kept[earlier]).any(axis=1)]
        alike = near(new, new)
        lead = np.ones(len(new), bool)
        for row in range(len(new)):
            if lead[row]:
                lead[row + 1 :] &= ~alike[row, row + 1 :]
        kept = np.concatenate([kept, new[lead]])
    return kept


def pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images (N×H×W×C) as rows (N×D) whose distance is the root mean square difference.

    Images with more than 16 rows or columns are averaged down to 16×16. Values are in [0, 1]/√D.
    """
    height, width, channels = images.shape[1:]
    is_large = max(height, width) > _SIDE
    found = np.empty((len(images), (_SIDE**2 if is_large else height * width) * channels), "f4")
    for rows in row_slices(len(images)):
        block = images[rows]
        if is_large:
            plain = block if channels > 1 else block[..., 0]  # Pillow's grey has no channel
            small = [Image.fromarray(i).resize((_SIDE, _SIDE), Image.Resampling.BOX) for i in plain]
            block = np.stack([np.asarray(image) for image in small])
        found[rows] = block.reshape(len(block), -1)
        release_pages(images)
    found /= np.float32(255 * np.sqrt(found.shape[1]))
    return found


def _mann_whitney(a: Float64, b: Float64) -> float:
    """Return the standardised Mann–Whitney statistic, above 0 where a is larger (1947, ties ½)."""
    ascending = np.sort(b)
    below = np.searchsorted(ascending, a, side="left")
    not_above = np.searchsorted(ascending, a, side="right")
    m, n = len(a), len(b)
    u = (below + not_above).sum() / 2
    ties = np.unique(np.concatenate([a, b]), return_counts=True)[1]
    correction = (ties**3 - ties).sum() / ((m + n) * (m + n - 1))
    variance = m * n / 12 * (m + n + 1 - correction)
    return float((u - m * n / 2) / np.sqrt(variance)) if variance > 0 else 0.0


def _merge(
    first: tuple[Float64, NDArray[np.int64]], second: tuple[Float64, NDArray[np.int64]]
) -> tuple[Float64, NDArray[np.int64]]:
    """Join two lists of neighbours (N×k each) to one (N×2k), ascending, each image once.

    The second mention of an image goes to the end, with an infinite distance.
    """
    distances = np.concatenate([first[0], second[0]], axis=1)
    index = np.concatenate([first[1], second[1]], axis=1)
    order = np.lexsort((distances, index))
    distances = np.take_along_axis(distances, order, 1)
    index = np.take_along_axis(index, order, 1)
    distances[:, 1:][index[:, 1:] == index[:, :-1]] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, 1), np.take_along_axis(index, order, 1)
