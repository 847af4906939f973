"""The Fréchet distance between Gaussians, which on the features of the FID Inception is FID.

FD² = |μ₁ − μ₂|² + tr C₁ + tr C₂ − 2 tr (C₁C₂)^½  (Dowson, Landau 1982; Heusel et al. 2017, eq. 6)

With factors F such that C = FᵀF, the eigenvalues of C₁C₂ are the squared singular values of F₁F₂ᵀ,
so tr (C₁C₂)^½ is the nuclear norm of F₁F₂ᵀ. The centred features are such a factor, and with fewer
images than dimensions a thin one: no covariance and no square root of a matrix is ever formed.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import Groups, Seed
from benchmark.core.values import Value
from benchmark.metrics.base import Cache, Features, Metric, blocks, check_features, check_pair
from benchmark.metrics.uncertainty import Rows, bootstrap, jackknife, percentile_interval

_EPS = float(np.finfo(np.float64).eps)
# The relative error of the distance up to which the fast method is used, else the exact one.
PRECISION = 1e-8
# How far a covariance may be from symmetric and positive, relative to its largest entry or
# eigenvalue, as sums in float32 are.
ASYMMETRY = 1e-5
LEAST_PIVOT = 1e-4  # of Cholesky's, relative to the largest; with smaller ones, QR is used


class Frechet(Metric):
    """The distance of two Gaussians fitted to the features; on the 2015 Inception called FID.

    The interval is that of the distance at this N to these real images: what other samples of the
    model would give. The distance's bias, which falls with N, is not in it; `frechet-infinity`
    extrapolates that away. The jackknife's error is close to the true one from N = 40 to 3,000,
    below and above the dimension, where the bootstrap's is up to 2.5 times too large.
    """

    kind: Literal["frechet"] = "frechet"
    paper = "Heusel et al. 2017, eq. 6; Dowson and Landau 1982"
    interval: Literal["jackknife", "bootstrap", "none"] = Field(
        default="jackknife", description="How the interval is found"
    )
    groups: Groups = Field(default=50, description="Of the jackknife")
    replicates: int = Field(default=1000, ge=2, le=100_000, description="Of the bootstrap")
    seed: Seed = Field(default=0, description="Of the interval's random generator")
    is_distance = True
    short = "fd"

    def compute(self, fake: Features, real: Features | GaussianStats) -> Value:
        """Return the distance of `fake` (N×d, N ≥ 3) to `real`: M×d, M ≥ 3, or their Gaussian.

        Raises:
            BenchmarkError: unusable features, or the dimensions differ.
        """
        if isinstance(real, GaussianStats):
            check_features(fake, "fake", least=3)
        else:
            check_pair(fake, real, least=3)
            real = statistics(real)
        value = frechet_distance(statistics(fake), real)
        if self.interval == "none":
            return Value(value=value)
        rng = np.random.default_rng(self.seed)
        subset = SubsetDistance(fake, real)
        if self.interval == "bootstrap":
            return _positive(
                percentile_interval(value, bootstrap(subset, len(fake), self.replicates, rng))
            )
        return _positive(jackknife(value, subset, len(fake), self.groups, rng))

    def reference(self, real: Features, cache: Cache) -> GaussianStats:
        """Return the Gaussian of the real images, M×d, from the cache.

        With many real images, computing it takes longer than the rest of the distance.
        """
        return cache(statistics, real, kind=GaussianStats)


@dataclass(frozen=True, eq=False)
class GaussianStats:
    """A Gaussian as mean (d) and factor (r×d, r ≤ d): its covariance is factorᵀ·factor."""

    mean: NDArray[np.float64]
    factor: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance, d×d."""
        return self.factor.T @ self.factor

    @classmethod
    def from_moments(
        cls, mean: NDArray[np.float64], covariance: NDArray[np.float64]
    ) -> GaussianStats:
        """Return the Gaussian with this mean (d ≥ 1) and covariance (d×d, positive semidefinite).

        Eigenvalues that are only rounding errors are left out, so that few images have a thin
        factor.

        Raises:
            BenchmarkError: beyond rounding in float32, the covariance is not symmetric or has a
                negative eigenvalue.
        """
        if np.abs(covariance - covariance.T).max() > ASYMMETRY * np.abs(covariance).max():
            raise BenchmarkError("sigma is no covariance: it must be symmetric")
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        if values[0] < -ASYMMETRY * np.abs(values).max():
            raise BenchmarkError(
                f"sigma is no covariance: it has the eigenvalue {values[0]:.3g}, and none may be "
                "below 0"
            )
        kept = values > values[-1] * len(values) * _EPS
        return cls(mean, np.sqrt(values[kept])[:, None] * vectors.T[kept])


def few(dimension: int) -> int:
    """Return the number of images below which no covariance has full rank, d + 1.

    The bias of a distance of fewer dominates it.
    """
    return dimension + 1


def statistics(features: Features) -> GaussianStats:
    """Return mean and unbiased covariance (divisor N − 1) of features, N×d with N ≥ 2, in float64.

    Features of more images than dimensions, as of a file, are read in blocks and not copied whole.

    Raises:
        BenchmarkError: one image, NaN or infinity.
    """
    check_features(features, "features")
    n, dimension = features.shape
    if n <= dimension:
        mean = features.mean(axis=0, dtype=np.float64)
        return GaussianStats(mean, (features - mean) / np.sqrt(n - 1))
    moments = functools.reduce(operator.add, map(Moments.of, blocks(features)))
    return GaussianStats(moments.mean, _square(features, moments) / np.sqrt(n - 1))


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums from which the Gaussian of a set of features follows; the sums of two sets add up.

    Attributes:
        count: number of images, N.
        mean: mean of the features (d).
        scatter: Σ (x − mean)(x − mean)ᵀ, d×d.
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, features: Features) -> Moments:
        """Return the moments of features, N×d with N ≥ 1, in float64."""
        mean = features.mean(axis=0, dtype=np.float64)
        offset = features - mean
        return cls(len(features), mean, offset.T @ offset)

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets together: Chan, Golub and LeVeque 1983, eq. 2.1."""
        count = self.count + other.count
        apart = other.mean - self.mean
        scatter = np.outer(apart * (self.count * other.count / count), apart)
        scatter += self.scatter
        scatter += other.scatter
        return Moments(count, self.mean + apart * (other.count / count), scatter)


def _square(features: Features, moments: Moments) -> NDArray[np.float64]:
    """Return the factor, d×d, of the scatter matrix of features, n×d with n > d.

    Cholesky's takes a quarter of the time of the QR decomposition, which singular scatters need.
    """
    with contextlib.suppress(np.linalg.LinAlgError):
        root = np.asarray(np.linalg.cholesky(moments.scatter, upper=True), np.float64)
        pivots = np.diagonal(root)
        if pivots.min() > LEAST_PIVOT * pivots.max():
            return root
    triangle = np.empty((0, features.shape[1]))
    for block in blocks(features):  # below the triangle of the blocks before it
        stacked: Any = np.concatenate([triangle, block - moments.mean])
        triangle = np.asarray(np.linalg.qr(stacked, mode="r"), np.float64)
    return triangle


def frechet_distance(a: GaussianStats, b: GaussianStats) -> float:
    """Return the Fréchet distance, a squared length in feature units, ≥ 0.

    The nuclear norm is the sum of the roots of the eigenvalues of F₁F₂ᵀF₂F₁ᵀ, which have lost half
    of the digits of the small ones. Where that could be seen, as in rank-deficient covariances, it
    is the sum of the singular values, exact to rounding. Nothing is regularised, and what rounding
    leaves around 0 becomes 0.

    Raises:
        BenchmarkError: the dimensions differ.
    """
    if a.mean.shape != b.mean.shape:
        raise BenchmarkError(
            f"statistics of dimension {a.mean.size} and {b.mean.size} cannot be compared: "
            "use one extractor for both"
        )
    product = a.factor @ b.factor.T
    apart = float(np.square(a.mean - b.mean).sum())
    apart += float(np.square(a.factor).sum() + np.square(b.factor).sum())
    norm, error = _nuclear_norm(product)
    if 2 * error > PRECISION * (apart - 2 * norm):
        norm = float(np.linalg.svd(product, compute_uv=False).sum())
    distance = apart - 2 * norm
    return distance if distance > a.mean.size * _EPS * apart else 0.0


def _nuclear_norm(matrix: NDArray[np.float64]) -> tuple[float, float]:
    """Return the sum of the singular values by symmetric eigenvalues, and its error.

    Rounding errors of different eigenvalues are taken as independent (Higham and Mary 2019); those
    of eigenvalues that are rounding alone add up, since their roots are not negative.
    """
    if len(matrix) > matrix.shape[1]:
        matrix = matrix.T
    if not matrix.size:
        return 0.0, 0.0
    squares = np.linalg.eigvalsh(matrix @ matrix.T).clip(min=0)
    roots = np.sqrt(squares)
    rounding = 16 * _EPS * squares[-1]
    sound = squares > rounding
    error = np.linalg.norm(rounding / (2 * roots[sound])) + np.sum(~sound) * np.sqrt(rounding)
    return float(roots.sum()), float(error)


class SubsetDistance:
    """The Fréchet distance of rows of `features` (N×d) to a reference, for many sets of rows.

    With Y = X − μ₂ and Z = YF₂ᵀ, all that the distance needs are sums over the rows of Y, |y|² and
    zᵀz, or, with fewer rows than columns, the Gram matrix ZZᵀ. Taking square roots of eigenvalues,
    it is exact to about 10⁻⁷ of the covariances' traces only: enough for an error.
    """

    def __init__(self, features: Features, reference: GaussianStats) -> None:
        self.offset = features - reference.mean
        self.lengths = np.square(self.offset).sum(axis=1)
        self.reference_spread = float(np.square(reference.factor).sum())
        self.projected = self.offset @ reference.factor.T
        self.thin = len(features) <= self.projected.shape[1]
        self.products = (
            self.projected @ self.projected.T if self.thin else self.projected.T @ self.projected
        )

    def __call__(self, rows: Rows) -> float:
        """Return the distance of these rows, at least 2, of which some may be given twice."""
        n = len(rows)
        mean_length = float(np.square(self.offset[rows].mean(axis=0)).sum())
        spread = (self.lengths[rows].sum() - n * mean_length) / (n - 1)
        scatter = self._gram(rows) if self.thin else self._moment(rows)
        cross = np.sqrt(np.linalg.eigvalsh(scatter).clip(min=0) / (n - 1)).sum()
        return max(0.0, float(mean_length + spread + self.reference_spread - 2 * cross))

    def _gram(self, rows: Rows) -> NDArray[np.float64]:
        """Return the inner products of `projected[rows]`, centred, n×n."""
        gram = self.products[np.ix_(rows, rows)]
        means = gram.mean(axis=0)
        centred_gram: NDArray[np.float64] = gram - means - means[:, None] + means.mean()
        return centred_gram

    def _moment(self, rows: Rows) -> NDArray[np.float64]:
        """Return the scatter matrix of `projected[rows]`, from that of all rows, r×r."""
        times = np.bincount(rows, minlength=len(self.offset))
        changed = np.flatnonzero(times != 1)
        z = self.projected[changed]
        mean = self.projected[rows].mean(axis=0)
        moment: NDArray[np.float64] = self.products - z.T @ ((1 - times[changed])[:, None] * z)
        moment -= len(rows) * np.outer(mean, mean)
        return moment


def _positive(value: Value) -> Value:
    """Cut the interval at 0, below which no distance lies."""
    return value.model_copy(update={"low": max(0.0, value.low or 0.0)})
