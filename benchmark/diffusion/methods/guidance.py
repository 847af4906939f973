"""What methods share that move the estimate of the image along a gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmark.diffusion.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.denoiser import Denoiser, Estimate
    from benchmark.diffusion.processes.base import Array, Process
    from benchmark.diffusion.question import Question
    from benchmark.diffusion.samplers.base import Model, Noise

    # (x̂_0: B×C×H×W, α, σ, t) -> the direction v, B×C×H×W, and the factor of Jᵀ v
    Direction = Callable[[Tensor, float, float, float], tuple[Tensor, float]]


class Guidance(Method):
    """Adds an approximation of ∇ log p(y | x_t) to the score.

    By Tweedie's formula that moves x̂_0 by σ²/α times it. It is Jᵀ v, where J is the Jacobian of
    x̂_0 by x_t, and v depends on the method. Estimates are not confined to the range of images
    after they were moved. Works with every sampler that takes the steps of a grid.
    """

    @abstractmethod
    def direction(self, process: Process, question: Question, timesteps: Array) -> Direction:
        """Return a function that gives v, B×C×H×W, and the factor with which Jᵀ v moves x̂_0.

        A factor of 0 says that v itself moves x̂_0.
        """

    def steer(
        self,
        model: Denoiser,
        process: Process,
        question: Question,
        timesteps: Array,
        noise: Noise,
    ) -> Model:
        """Return a model of B×C×H×W with the guided score; `noise` is never called."""
        direction = self.direction(process, question, timesteps)

        def guided(x: Tensor, t: float) -> Estimate:
            return _guided(model, direction, x, t)

        return guided


def _guided(model: Denoiser, direction: Direction, x: Tensor, t: float) -> Estimate:
    """Return the estimate of x: B×C×H×W at time t, moved along the direction."""
    import torch

    from benchmark.diffusion.denoiser import estimate_from

    # In inference mode, in which samplers run, no gradient can be had.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x.clone().requires_grad_()
        before = model.evaluations
        estimate = model(leaf, t)
        x0 = estimate.x0
        alpha, sigma = float(estimate.alpha), float(estimate.sigma)
        shift, factor = direction(x0.detach(), alpha, sigma, t)
        if factor:
            (gradient,) = torch.autograd.grad(x0, leaf, shift)
            shift = factor * gradient
            model.evaluations += model.evaluations - before  # as long as the forward pass
    moved = estimate_from("x0", x0.detach() + shift, x, alpha, sigma)
    if estimate.variance is not None:
        moved.variance = estimate.variance.detach()
    return moved
