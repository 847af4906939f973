"""The loss of the SDE framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from benchmark.diffusion.losses.base import Levels, Space
from benchmark.diffusion.losses.weighted import Weighted
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.processes.sde import SDE

if TYPE_CHECKING:
    from torch import Tensor


class Continuous(Weighted):
    """λ(t) ‖s_θ(x_t, t) + ε/σ(t)‖², Song et al. 2021, equation 7."""

    trains = "SDEs"
    usual_space = "eps"
    kind: Literal["continuous"] = "continuous"
    likelihood_weighting: bool = Field(
        default=False, description="λ = g² in the loss of an SDE, instead of σ²"
    )

    @model_validator(mode="after")
    def _check_weight(self) -> Continuous:
        if self.likelihood_weighting and (self.loss_weight or self.loss_space):
            raise ValueError(
                "likelihood_weighting: is a weight by itself: leave out loss_weight and loss_space"
            )
        return self

    def weigh(self, error: Tensor, space: Space, process: Process, levels: Levels) -> Tensor:
        """Return the mean over images and pixels; w(t) is 1, or g²/σ² with `likelihood_weighting`.

        With λ = g² the loss bounds the likelihood: Song et al. 2021 (Maximum Likelihood Training of
        Score-Based Diffusion Models), theorem 1.
        """
        if self.likelihood_weighting:
            assert isinstance(process, SDE)
            error = error * ((process.diffusion(levels.t) / levels.sigma) ** 2)[:, None]
        return super().weigh(error, space, process, levels)
