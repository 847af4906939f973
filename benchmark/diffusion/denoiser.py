"""What a network predicts, and the four ways to say the same."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from benchmark.diffusion.processes import Prediction, Process

Scale: TypeAlias = float | Tensor  # a factor for the whole batch, or one an image: B×1×1×1


class Estimate(NamedTuple):
    """What is believed of a noisy image x_t = α x_0 + σ ε: B×C×H×W each, α and σ factors."""

    x0: Tensor
    eps: Tensor
    alpha: Scale
    sigma: Scale

    @property
    def score(self) -> Tensor:
        """∇ log q(x_t) = -ε/σ, Song and Ermon 2019, section 4.2."""
        return (-1 / self.sigma) * self.eps

    @property
    def v(self) -> Tensor:
        """The velocity α ε - σ x_0, Salimans and Ho 2022, section 4."""
        return self.alpha * self.eps - self.sigma * self.x0


class Denoiser:
    """A network behind one face: from a noisy image and its time to an estimate.

    Args:
        network: predicts from (x: B×C×H×W, condition: B).
        process: gives α, σ and the condition of a time.
        prediction: what the network's output means; None: what networks of the process predict.
        clip: confine x_0 to the range of the data, and let ε follow from it.

    Attributes:
        evaluations: of the network so far; a call on B images counts B times.
    """

    def __init__(
        self,
        network: nn.Module,
        process: Process,
        prediction: Prediction | None = None,
        clip: bool = False,
    ) -> None:
        self.network = network
        self.process = process
        self.prediction = prediction or process.prediction
        self.clip = clip
        self.evaluations = 0

    def __call__(self, x: Tensor, t: float) -> Estimate:
        """Evaluate the network once on x: B×C×H×W, all at time t."""
        alpha, sigma = float(self.process.alpha(t)), float(self.process.sigma(t))
        condition = torch.full((len(x),), self.process.condition(t), device=x.device)
        output = self.network(x, condition)
        self.evaluations += len(x)
        estimate = estimate_from(self.prediction, output, x, alpha, sigma)
        if not self.clip:
            return estimate
        x0 = estimate.x0.clamp(*self.process.data_range)
        return estimate_from("x0", x0, x, alpha, sigma)


def estimate_from(
    prediction: Prediction, output: Tensor, x: Tensor, alpha: Scale, sigma: Scale
) -> Estimate:
    """Return the estimate of which `output` is the part that `prediction` names.

    All follow from x_t = α x_0 + σ ε; with v also where α² + σ² is not 1.
    """
    if prediction == "x0":
        return Estimate(output, (x - alpha * output) / sigma, alpha, sigma)
    if prediction == "v":
        eps = (sigma * x + alpha * output) / (alpha**2 + sigma**2)
    elif prediction == "score":
        eps = -sigma * output
    else:
        eps = output
    return Estimate((x - sigma * eps) / alpha, eps, alpha, sigma)
