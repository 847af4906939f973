"""DPS, diffusion posterior sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from benchmark.core.strict_model import Positive
from benchmark.diffusion.methods.guidance import Guidance
from benchmark.diffusion.processes.base import exact_chain, levels

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.methods.guidance import Direction
    from benchmark.diffusion.processes.base import Array, Process
    from benchmark.diffusion.question import Question


class DPS(Guidance):
    """Goes in each step against the gradient of the error's norm, by a length that is set.

    Chung et al. 2023, algorithm 1, as in the authors' code: x_s is what ancestral sampling makes of
    x_t, less ζ times the gradient by x_t of the norm of y - A x̂_0. Here x̂_0 is moved by as much as
    moves x_s by that, so that the sampler `ddpm` takes their steps, and others have a score to
    follow. As ζ does not depend on the noise, what is sampled is no posterior, and depends on the
    number of steps.
    """

    paper = "[Chung et al. 2023](https://arxiv.org/abs/2209.14687), algorithm 1"
    kind: Literal["dps"] = "dps"
    zeta: Positive = Field(default=1.0, description="ζ: length of a step, in [-1, 1] of pixels")

    def direction(self, process: Process, question: Question, timesteps: Array) -> Direction:
        """Return v, B×C×H×W, and what moves x_s by -ζ times the gradient: see the base class."""
        low, high = process.data_range
        zeta = self.zeta * (high - low) / 2
        times = np.unique(timesteps)[::-1]  # some samplers stay at a time
        alpha, sigma = levels(process, times)
        _, g = exact_chain(process, times)
        of_x0 = alpha[1:] * (g / sigma[:-1]) ** 2  # by which x_s follows x̂_0 in a step of `ddpm`

        def towards(x0: Tensor, alpha: float, sigma: float, t: float) -> tuple[Tensor, float]:
            step = max(0, int((times >= t).sum()) - 1)  # the one in which t lies
            error = question.residual(x0)
            norm = error.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (x0.ndim - 1))
            return question.operator.adjoint(error / norm), zeta / float(of_x0[step])

        return towards
