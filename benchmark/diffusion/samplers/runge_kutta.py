"""What the Runge-Kutta methods share: the steps of the probability-flow ODE by a tableau."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from benchmark.diffusion.ode import FAMILIES, ODE, Point, move
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate
    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class Tableau(NamedTuple):
    """An explicit Runge-Kutta method, without the first stage, which is at the step's beginning.

    Attributes:
        nodes: of each further stage, where in the step it is: 1 is the end.
        shares: of each further stage, the shares of the slopes before it in the step to it.
        weights: the shares of all slopes in the whole step.
    """

    nodes: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


EULER = Tableau((), (), (1.0,))


class RungeKutta(Sampler):
    """Solves the probability-flow ODE by the steps of a tableau.

    Attributes:
        tableau: the method.
    """

    families = FAMILIES
    usual_spacing = "karras"
    tableau: ClassVar[Tableau]

    @property
    def leaves_its_times(self) -> bool:
        """Tell whether a stage is between the beginning and the end of its step."""
        return any(node != 1 for node in self.tableau.nodes)

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W; see `Sampler.sample`. `noise` is never called."""
        return solve(model, process, x_T, timesteps, callback, self.tableau)


def solve(
    model: Model,
    process: Process,
    x_T: Tensor,
    timesteps: Array,
    callback: Callback | None,
    tableau: Tableau,
) -> Tensor:
    """Return x_0: B×C×H×W. The step to the clean image, where no network is defined, is Euler's.

    Args:
        model: evaluates the network once on x: B×C×H×W at time t.
        process: gives α and σ.
        x_T: B×C×H×W.
        timesteps: N descending times.
        callback: called with (i, t, x_t, x̂_0) at each step.
        tableau: the method.
    """
    ode = ODE(process)
    points = ode.points(timesteps)
    stages = [*stages_of(ode, points[:-1], tableau), []]
    x = x_T
    for i, ((start, end), between) in enumerate(zip(pairwise(points), stages, strict=True)):
        estimate = model(x, start.t)
        if callback:
            callback(i, start.t, x, estimate.x0)
        method = tableau if i + 1 < len(timesteps) else EULER
        x = step(model, ode, x, estimate, [start, *between, end], method)
    return x


def step(
    model: Model, ode: ODE, x: Tensor, estimate: Estimate, path: list[Point], tableau: Tableau
) -> Tensor:
    """Return the state at the end of a step from x: B×C×H×W.

    Args:
        model: evaluates the network once on x: B×C×H×W at time t.
        ode: gives the slopes.
        x: the state at the step's beginning; it is not changed.
        estimate: what the model says of it.
        path: the beginning, the further stages and the end.
        tableau: the method.
    """
    start, *stages, end = path
    length = end.u - start.u
    slopes = [ode.slope(estimate)]
    for stage, shares in zip(stages, tableau.shares, strict=True):
        used = [(share, slope) for share, slope in zip(shares, slopes, strict=True) if share]
        slopes.append(ode.slope(model(move(x, start, stage, length, used), stage.t)))
    return move(x, start, end, length, zip(tableau.weights, slopes, strict=True))


def stages_of(ode: ODE, points: list[Point], tableau: Tableau) -> list[list[Point]]:
    """Return the further stages of the steps between neighbouring points."""
    u = np.array([point.u for point in points])
    ends = points[1:]
    columns = [
        ends if node == 1 else ode.points_at(u[:-1] + node * np.diff(u)) for node in tableau.nodes
    ]
    return [list(row) for row in zip(*columns, strict=True)]
