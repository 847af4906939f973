"""Reverse diffusion with Langevin correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers.base import Sampler, blend, rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate
    from benchmark.diffusion.samplers.base import Callback, Model, Noise


class PredictorCorrector(Sampler):
    """Alternates Langevin steps and the reverse of the forward chain, Song et al. 2021.

    Algorithms 2 and 3 with the reverse diffusion predictor of equation 46. A flow is left out: the
    chain of its first step keeps nothing of x, which is far from the small steps of a predictor.
    """

    paper = "[Song et al. 2021](https://arxiv.org/abs/2011.13456), algorithms 2 to 5"
    families = ("vp-discrete", "ve-discrete", "ve", "vp", "sub-vp", "edm")
    usual_spacing = "linspace"
    even_on_sdes = True
    divides_by_alpha = True
    takes_state = True
    stays_at_times = True
    kind: Literal["predictor-corrector"] = "predictor-corrector"
    snr: float = Field(default=0.16, gt=0, le=100, description="r of algorithms 4 and 5")
    corrections: int = Field(default=1, ge=0, le=1000, description="M of algorithms 2 and 3")
    order: Literal["corrector-first", "predictor-first"] = Field(
        default="corrector-first",
        description="That of the authors' code and of diffusers, or that of the paper: no "
        "correction before the first prediction, and none after the last, which is free of noise",
    )

    def sample(
        self,
        model: Model,
        process: Process,
        x_T: Tensor,
        timesteps: Array,
        noise: Noise,
        callback: Callback | None = None,
    ) -> Tensor:
        """Return x_0, B×C×H×W: the mean of the last prediction; see `Sampler.sample`."""
        a, g = process.chain(timesteps)
        x = x_T
        for i, (t, a_t, g_t) in enumerate(rows(timesteps, a, g)):
            if i > 0 or self.order == "corrector-first":
                for _ in range(self.corrections):
                    x = self._correct(model(x, t), noise(), a_t**2)
            estimate = model(x, t)
            if callback:
                callback(i, t, x, estimate.x0)
            x = blend(2 - a_t, estimate.x_t, g_t**2, estimate.score)  # equation 46, f = (a - 1) x
            if i < len(timesteps) - 1:
                x.add_(noise(), alpha=g_t)
        return x

    def _correct(self, estimate: Estimate, z: Tensor, alpha: float) -> Tensor:
        """Take a Langevin step; the norms are of each image alone, so that none sees its batch.

        Algorithms 4 (α = 1) and 5 (α = 1 - β, as in the authors' code).
        """
        x, score = estimate.x_t, estimate.score
        ratio = _norm(z) / _norm(score)  # (B, 1, 1, 1)
        step = 2 * alpha * (self.snr * ratio) ** 2  # ε of the algorithms
        return x.addcmul(step, score).addcmul_((2 * step) ** 0.5, z)  # + √(2ε) z


def _norm(x: Tensor) -> Tensor:
    axes = tuple(range(1, x.ndim))
    return x.square().sum(dim=axes, keepdim=True).sqrt()
