"""The loss of the SDE framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.losses.base import Loss
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.processes.sde import SDE

if TYPE_CHECKING:
    from torch import Tensor


class Continuous(Loss):
    """λ(t) ‖s_θ(x_t, t) + ε/σ(t)‖², Song et al. 2021, equation 7."""

    trains = "SDEs"
    kind: Literal["continuous"] = "continuous"
    likelihood_weighting: bool = Field(
        default=False, description="λ = g² in the loss of an SDE, instead of σ²"
    )

    def weigh(self, error: Tensor, process: Process, t: Tensor, sigma: Tensor) -> Tensor:
        """Return the mean over images and pixels; w(t) is 1, or g²/σ² with `likelihood_weighting`.

        With λ = g² the loss bounds the likelihood: Song et al. 2021 (Maximum Likelihood Training of
        Score-Based Diffusion Models), theorem 1.
        """
        if self.likelihood_weighting:
            assert isinstance(process, SDE)
            error = error * ((process.diffusion(t) / sigma) ** 2)[:, None]
        return error.mean()
