"""ΠGDM: guidance by the pseudo-inverse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.core.strict_model import Positive
from benchmark.diffusion.methods.guidance import Guidance

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.methods.guidance import Direction
    from benchmark.diffusion.processes.base import Array, Process
    from benchmark.diffusion.question import Question


class PiGDM(Guidance):
    """Takes x_0 given x_t for N(x̂_0, r² I), from which the probability of y given x_t follows.

    Song, Vahdat, Mardani and Kautz 2023, equation 7: the gradient of log p(y | x_t) is Jᵀ v with
    v = Aᵀ (r² A Aᵀ + σ_y² I)⁻¹ (y - A x̂_0). With r² = s² σ²/(α² s² + σ²) it is exact for data
    N(m, s² I); the paper has s = 1. It is the score's gradient, without the paper's adaptive
    weights, so that any sampler can take it. Where α is 0, x_t says nothing and v itself, times r²,
    moves the estimate.
    """

    paper = "[Song et al. 2023](https://openreview.net/forum?id=9_gsMA8MRKQ), equation 7"
    kind: Literal["pigdm"] = "pigdm"
    data_std: Positive = Field(
        default=1.0, description="s: standard deviation of pixels, in [-1, 1], from which r follows"
    )

    def direction(self, process: Process, question: Question, timesteps: Array) -> Direction:
        """Return v, B×C×H×W, and σ²/α; see `Guidance.direction`."""
        low, high = process.data_range
        data = (self.data_std * (high - low) / 2) ** 2
        operator = question.operator

        def towards(x0: Tensor, alpha: float, sigma: float, t: float) -> tuple[Tensor, float]:
            r2 = data * sigma**2 / (alpha**2 * data + sigma**2)
            v = operator.adjoint(operator.solve(question.residual(x0), r2, question.noise**2))
            return (v, sigma**2 / alpha) if alpha else (r2 * v, 0.0)

        return towards
