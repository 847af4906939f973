"""Sliced score matching."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.losses.base import Example
from benchmark.diffusion.losses.score_matching import ScoreMatching
from benchmark.diffusion.processes.base import Prediction, Process

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate


class SlicedScoreMatching(ScoreMatching):
    """λ(σ) (vᵀ ∇s_θ(x_t, σ) v + ½ ‖s_θ(x_t, σ)‖² + ½ D/σ²), with v of random signs.

    It is the variance-reduced objective of Song et al. 2019, with λ(σ) = σ^p and levels of noise as
    in Song and Ermon 2019, equations 3 and 6. It never looks at the noise that was added. With the
    last term, a constant of the D dimensions of x_t, its expectation is that of denoising score
    matching. Its gradient takes a second derivative of the network.
    """

    trains = "sliced score matching"
    families = ("ve-discrete", "ve", "vp-discrete", "vp", "sub-vp")
    is_sliced = True
    differentiates_twice = True
    kind: Literal["sliced-score-matching"] = "sliced-score-matching"

    def of_model(
        self,
        model: Callable[[Tensor], Estimate],
        example: Example,
        process: Process,
        prediction: Prediction,
    ) -> Tensor:
        """Return the sum over pixels, the mean over x_t: B×C×H×W; see `Loss.of_model`."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        v, learns = example.directions, torch.is_grad_enabled()
        assert v is not None
        # The fast kernels of attention have no second derivative.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            x = example.x_t.detach().requires_grad_()
            score = model(x).score
            [slope] = torch.autograd.grad((v * score).sum(), x, create_graph=learns)
        each = (v * slope + 0.5 * score.square()).flatten(1).sum(1)
        sigma = example.levels.sigma
        each = sigma**2 * each + 0.5 * x[0].numel()
        loss = (sigma ** (self.power - 2) * each).mean()
        return loss if learns else loss.detach()
