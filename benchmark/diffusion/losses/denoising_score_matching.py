"""The loss of NCSN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.losses.base import Levels, Loss, Space
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import Tensor


class DenoisingScoreMatching(Loss):
    """½ λ(σ) ‖s_θ(x_t, σ) + ε/σ‖² with λ(σ) = σ^p, Song and Ermon 2019, equations 5 and 6."""

    trains = "geometric schedules"
    kind: Literal["denoising-score-matching"] = "denoising-score-matching"
    anneal_power: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="p of λ(σ) = σ^p in the loss of a geometric schedule; null: 2, as in the paper",
    )

    def weigh(self, error: Tensor, space: Space, process: Process, levels: Levels) -> Tensor:
        """Return the sum over pixels of `error`, B×CHW, as in the paper, and the mean over images.

        As s = -ε̂/σ, the squared error of the score is that of the noise over σ²: w = ½ σ^(p-2).
        With the paper's p = 2 all noise levels have the same weight.
        """
        p = 2.0 if self.anneal_power is None else self.anneal_power
        return 0.5 * (levels.sigma ** (p - 2) * error.sum(1)).mean()
