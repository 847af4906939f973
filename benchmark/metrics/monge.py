"""The Monge distance, on the features of the FID Inception called MIND (Berthet et al. 2026)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.values import Value
from benchmark.metrics.base import Features, Metric, blocks, check_pair
from benchmark.metrics.uncertainty import deal_into_groups, jackknife_value

Array = NDArray[np.float64]
DIRECTIONS = 32  # whose projections are in memory at a time
FACTOR = 3  # times d: the authors' scale, at which values are about as large as Fréchet distances


class Monge(Metric):
    """3d times the mean squared 2-Wasserstein distance of the features along random directions.

    Where all of one set lies beside the other by a vector δ, it is 3|δ|² but for the choice of the
    directions. Sets of different sizes are compared whole, by their quantile functions;
    torch-fidelity drops images of the larger one at random.
    """

    kind: Literal["monge"] = "monge"
    paper = "Berthet et al. 2026"
    projections: int = Field(default=1000, ge=1, le=100_000, description="Random directions")
    groups: int = Field(default=50, ge=2, description="Groups of the jackknife over the samples")
    seed: int = Field(default=0, ge=0, description="Draws the directions, and deals the groups")
    short = "mind"

    def compute(self, fake: Features, real: Features) -> Value:
        """Return the Monge distance of `fake` (N×d, N ≥ 2) to `real` (M×d, M ≥ 2).

        Raises:
            BenchmarkError: unusable features.
        """
        check_pair(fake, real)
        rng = np.random.default_rng(self.seed)
        order, size = deal_into_groups(len(fake), self.groups, rng)
        kept = np.ones((len(fake) // size, len(fake)), dtype=bool)  # without each group in turn
        for number, mask in enumerate(kept):
            mask[order[number * size : (number + 1) * size]] = False
        whole, part = (Coupling.of(n, len(real)) for n in (len(fake), len(fake) - size))
        total, left_out = 0.0, np.zeros(len(kept))
        for directions in _directions(self.projections, fake.shape[1], rng):
            there = np.sort(_projected(real, directions), axis=1)
            here = _projected(fake, directions)
            places = np.argsort(here, axis=1)
            here = np.take_along_axis(here, places, axis=1)
            total += whole.cost(here, there)
            for group, mask in enumerate(kept):
                rest = here[mask[places]].reshape(len(here), -1)
                left_out[group] += part.cost(rest, there)
        scale = FACTOR * fake.shape[1] / self.projections
        return jackknife_value(scale * total, (scale * left_out).tolist(), len(fake), size)


class Coupling(NamedTuple):
    """How the mass of N points is moved to M others on a line, both in ascending order.

    It depends on N and M alone: point `source[k]` gives the share `mass[k]` to `target[k]`.
    """

    source: NDArray[np.intp]
    target: NDArray[np.intp]
    mass: Array

    @classmethod
    def of(cls, n: int, m: int) -> Coupling:
        """Return the coupling of the quantile functions, of at most n + m − 1 parts."""
        # In units of 1/(n m), so that ends which are equal are found to be so.
        ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
        starts = np.concatenate([[0], ends[:-1]])
        return cls(starts // m, starts // n, (ends - starts) / (n * m))

    def cost(self, points: Array, others: Array) -> float:
        """Return the sum over lines of the squared 2-Wasserstein distance of the points on them.

        Args:
            points: ascending in each row, of shape (lines, N).
            others: ascending in each row, of shape (lines, M).
        """
        distance = points[:, self.source] - others[:, self.target]
        return float((np.square(distance, out=distance) @ self.mass).sum())


def _directions(count: int, dimension: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield unit vectors, uniform on the sphere, some rows of shape (·, d) at a time."""
    for start in range(0, count, DIRECTIONS):
        normal = rng.standard_normal((min(DIRECTIONS, count - start), dimension))
        yield normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _projected(features: Features, directions: Array) -> Array:
    """Return features (n×d) along directions (k×d), k×n."""
    return np.concatenate([directions @ block.T for block in blocks(features)], axis=1)
