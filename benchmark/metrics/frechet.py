"""The Fréchet distance between Gaussians, which on the features of the FID Inception is FID.

FD² = |μ₁ − μ₂|² + tr C₁ + tr C₂ − 2 tr (C₁C₂)^½  (Dowson, Landau 1982; Heusel et al. 2017, eq. 6)

With factors F such that C = FᵀF, the eigenvalues of C₁C₂ are the squared singular values of F₁F₂ᵀ,
so tr (C₁C₂)^½ is the nuclear norm of F₁F₂ᵀ. The centred features are such a factor, and with fewer
images than dimensions a thin one: no covariance and no square root of a matrix is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.metrics.base import METRICS, Features, check_features, check_pair
from benchmark.records import Value


@METRICS.register("frechet")
def frechet(fake: Features, real: Features) -> Value:
    """Return the Fréchet distance between the features `fake` (N×d) and `real` (M×d), N, M ≥ 2."""
    check_pair(fake, real)
    return Value(value=frechet_distance(statistics(fake), statistics(real)))


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
        """Return the Gaussian with this mean (d) and covariance (d×d, positive semidefinite)."""
        values, vectors = np.linalg.eigh(covariance)
        return cls(mean, np.sqrt(values.clip(min=0))[:, None] * vectors.T)


def statistics(features: Features) -> GaussianStats:
    """Return mean and unbiased covariance (divisor N − 1) of features, N×d with N ≥ 2, in float64.

    Raises:
        BenchmarkError: one image, NaN or infinity.
    """
    check_features(features, "features")
    n, dimension = features.shape
    mean = features.mean(axis=0, dtype=np.float64)
    factor = (features - mean) / np.sqrt(n - 1)
    if n > dimension:  # R of the QR decomposition has the same RᵀR in fewer rows
        factor = np.linalg.qr(factor, mode="r")
    return GaussianStats(mean, factor)


def frechet_distance(a: GaussianStats, b: GaussianStats) -> float:
    """Return the Fréchet distance, a squared length in feature units, ≥ 0.

    Singular values are exact to rounding where eigenvalues of C₁C₂ lose half of the digits, so
    rank-deficient covariances need no regularisation. What rounding leaves below 0 becomes 0.

    Raises:
        BenchmarkError: the dimensions differ.
    """
    if a.mean.shape != b.mean.shape:
        raise BenchmarkError(
            f"statistics of dimension {a.mean.size} and {b.mean.size} cannot be compared: "
            "use one extractor for both"
        )
    cross = np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum()
    spread = np.square(a.factor).sum() + np.square(b.factor).sum() - 2 * cross
    return max(0.0, float(np.square(a.mean - b.mean).sum() + spread))
