"""The probability-flow ODE of any linear process, in coordinates in which it is a plain one.

For x = α x_0 + σ ε and a number c, let y = x/(α + cσ) and u = σ/(α + cσ). Then
y = (1 - cu) x_0 + u ε, and the ODE is dy/du = ε̂ - c x̂_0. With c = 0 these are the coordinates of
Karras et al. 2022, equation 4, with u = σ/α. With c = 1 they are those of a straight path, Liu et
al. 2023 (Rectified Flow), and u stays within [0, 1] where α is 0, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.diffusion.processes.base import Array, Process, levels

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate


# The processes whose networks can be evaluated at any noise level. Those of discrete VE noise know
# nothing of what is between the levels.
FAMILIES = ("vp-discrete", "ve", "vp", "sub-vp", "edm", "flow")


class Point(NamedTuple):
    """A point of the path.

    Attributes:
        t: its time; of the clean image, where no network is evaluated, NaN.
        u: σ/(α + cσ).
        scale: α + cσ, by which y is multiplied to get x.
    """

    t: float
    u: float
    scale: float


class ODE:
    """The probability-flow ODE of a process; c is the process's `ode_mix`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._c = process.ode_mix

    def points(self, timesteps: Array) -> list[Point]:
        """Return the points of N times, shape (N,), and after them that of the clean image."""
        alpha, sigma = levels(self._process, timesteps)
        return self._points(np.append(timesteps, np.nan), alpha, sigma)

    def points_at(self, u: Array) -> list[Point]:
        """Return the points with the given u, of shape (N,); none is the clean image."""
        with np.errstate(divide="ignore"):  # at u = 1 nothing is left of the image
            t = self._process.time_of(u / (1 - self._c * u))  # of σ/α
        return self._points(t, self._process.alpha(t), self._process.sigma(t))

    def slope(self, estimate: Estimate) -> Tensor:
        """Return dy/du, shaped like x: B×C×H×W."""
        return estimate.eps if self._c == 0 else estimate.eps.sub(estimate.x0, alpha=self._c)

    def _points(self, t: Array, alpha: Array, sigma: Array) -> list[Point]:
        scale = alpha + self._c * sigma
        table = zip(t.tolist(), (sigma / scale).tolist(), scale.tolist(), strict=True)
        return [Point(*row) for row in table]


def move(
    x: Tensor, start: Point, end: Point, step: float, slopes: Iterable[tuple[float, Tensor]]
) -> Tensor:
    """Return the state at `end` of a line from x: B×C×H×W at `start`.

    Args:
        x: the state at `start`; it is not changed.
        start: where the line begins.
        end: where it is followed to.
        step: the length of a whole step in u.
        slopes: dy/du, shaped like x, each with its share of the step, by whose sum y grows.
    """
    x = (end.scale / start.scale) * x
    gain = end.scale * step
    for share, slope in slopes:
        x.add_(slope, alpha=gain * share)
    return x
