"""The loss of NCSN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.losses.base import Loss
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import Tensor


class DenoisingScoreMatching(Loss):
    """½ λ(σ) ‖s_θ(x_t, σ) + ε/σ‖² with λ(σ) = σ^p, Song and Ermon 2019, equations 5 and 6."""

    trains = "geometric schedules"
    kind: Literal["denoising-score-matching"] = "denoising-score-matching"
    anneal_power: float = Field(default=2.0, description="p; the paper's 2 weighs all levels alike")

    def weigh(self, error: Tensor, process: Process, t: Tensor, sigma: Tensor) -> Tensor:
        """Return the sum over pixels, as in the paper, and the mean over images.

        As s = -ε̂/σ, the squared error of the score is that of the noise over σ²: w = ½ σ^(p-2).
        """
        return 0.5 * (sigma ** (self.anneal_power - 2) * error.sum(1)).mean()
