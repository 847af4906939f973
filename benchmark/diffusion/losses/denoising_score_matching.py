"""The loss of NCSN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.losses.base import Levels, Regression, Space
from benchmark.diffusion.losses.score_matching import ScoreMatching
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import Tensor


class DenoisingScoreMatching(ScoreMatching, Regression):
    """½ λ(σ) ‖s_θ(x_t, σ) + ε/σ‖² with λ(σ) = σ^p, Song and Ermon 2019, equations 5 and 6."""

    trains = "geometric schedules"
    kind: Literal["denoising-score-matching"] = "denoising-score-matching"

    def weigh(self, error: Tensor, space: Space, process: Process, levels: Levels) -> Tensor:
        """Return the sum over pixels of `error`, B×CHW, as in the paper, and the mean over images.

        As s = -ε̂/σ, the squared error of the score is that of the noise over σ²: w = ½ σ^(p-2).
        """
        return 0.5 * (levels.sigma ** (self.power - 2) * error.sum(1)).mean()
