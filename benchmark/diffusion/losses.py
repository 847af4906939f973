"""What training minimises: weighted squared errors of the predicted noise.

Every loss is E[w(t) ‖ε̂(x_t, t) - ε‖²] with x_t = α(t) x_0 + σ(t) ε; they differ in the weight and
in how t is drawn. A network that predicts the score s is judged by ε̂ = -σ s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.diffusion.denoiser import estimate_from
from benchmark.diffusion.processes import SDE, DiscreteVE, DiscreteVP, Prediction, Process

EVERY = slice(None)
LEAST_TIME = 1e-5  # of an SDE's training, Song et al. 2021, code; its sampling may end before

# (network, images: B×C×H×W in [-1, 1], generator, rows of the batch) -> their mean loss, a scalar
Loss: TypeAlias = Callable[[nn.Module, Tensor, torch.Generator, slice], Tensor]


def loss_function(
    process: Process,
    prediction: Prediction | None = None,
    anneal_power: float = 2.0,
    likelihood_weighting: bool = False,
) -> Loss:
    """Return the loss of a process; it draws its own times and noise from the generator.

    It draws them for the whole batch, of which the network sees the given rows only: the losses of
    its parts, weighted by their lengths, add up to that of the batch.

    Args:
        process: decides the loss: `l_simple`, `denoising_score_matching` or `continuous`.
        prediction: what the network's output means; None: what networks of the process predict.
        anneal_power: of denoising score matching.
        likelihood_weighting: of the continuous loss.
    """

    def loss(
        network: nn.Module, images: Tensor, generator: torch.Generator, rows: slice = EVERY
    ) -> Tensor:
        x_0 = process.encode(images[rows])
        t = _draw_times(process, len(images), generator)[rows]
        eps = torch.randn(images.shape, generator=generator, device=generator.device)[rows]
        if isinstance(process, DiscreteVP):
            return l_simple(network, process, x_0, t, eps, prediction)
        if isinstance(process, DiscreteVE):
            return denoising_score_matching(network, process, x_0, t, eps, anneal_power, prediction)
        assert isinstance(process, SDE)
        return continuous(network, process, x_0, t, eps, likelihood_weighting, prediction)

    return loss


def l_simple(
    network: nn.Module,
    process: DiscreteVP,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    prediction: Prediction | None = None,
) -> Tensor:
    """Return the mean of (ε - ε_θ(x_t, t))² over images and pixels, Ho et al. 2020, equation 14.

    Args:
        network: predicts ε, or what `prediction` says, from (x_t, t: B).
        process: gives ᾱ.
        x_0: images, B×C×H×W in the process's range.
        t: integer times, B, from 0.
        eps: standard normal noise, shaped like x_0.
        prediction: what the network's output means; None: ε.
    """
    alpha, sigma = (table[t] for table in _tables(process, t.device))
    return _squared_error(network, process, x_0, t, eps, alpha, sigma, prediction).mean()


def denoising_score_matching(
    network: nn.Module,
    process: DiscreteVE,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    anneal_power: float = 2.0,
    prediction: Prediction | None = None,
) -> Tensor:
    """Return ½ λ(σ) ‖s_θ(x_t, σ) + ε/σ‖² with λ(σ) = σ^p, Song and Ermon 2019, equations 5, 6.

    Summed over pixels, as in the paper, and averaged over images.

    Args:
        network: predicts the score, or what `prediction` says, from (x_t, index of the level: B,
            0 for the largest noise).
        process: gives σ.
        x_0: images, B×C×H×W in the process's range.
        t: indices of levels, B, 0 for the smallest noise.
        eps: standard normal noise, shaped like x_0.
        anneal_power: p; the paper's 2 weighs all levels alike.
        prediction: what the network's output means; None: the score.
    """
    _, sigma = (table[t] for table in _tables(process, t.device))
    ones = torch.ones_like(sigma)
    error = _squared_error(network, process, x_0, t, eps, ones, sigma, prediction)
    return 0.5 * (sigma ** (anneal_power - 2) * error.sum(1)).mean()


def continuous(
    network: nn.Module,
    process: SDE,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    likelihood_weighting: bool = False,
    prediction: Prediction | None = None,
) -> Tensor:
    """Return λ(t) ‖s_θ(x_t, t) + ε/σ(t)‖², Song et al. 2021, equation 7.

    Averaged over images and pixels.

    Args:
        network: predicts what `prediction` says from (x_t, `process.condition(t)`: B).
        process: gives α, σ and g.
        x_0: images, B×C×H×W in the process's range.
        t: times, B, in (0, 1].
        eps: standard normal noise, shaped like x_0.
        likelihood_weighting: λ = g², which bounds the likelihood (Song et al. 2021, Maximum
            Likelihood Training, theorem 1), instead of λ = σ².
        prediction: what the network's output means; None: what networks of the process predict.
    """
    t = t.double()  # 1 - exp(-∫β) near 0 cancels in single precision
    alpha, sigma = process.alpha(t), process.sigma(t)
    error = _squared_error(network, process, x_0, t, eps, alpha, sigma, prediction)
    if likelihood_weighting:
        error = error * ((process.diffusion(t) / sigma) ** 2)[:, None]
    return error.mean()


def _draw_times(process: Process, count: int, generator: torch.Generator) -> Tensor:
    device = generator.device
    if process.length is not None:
        return torch.randint(process.length, (count,), generator=generator, device=device)
    even = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
    least = min(process.t_min, LEAST_TIME)
    return least + (process.t_max - least) * even


def _squared_error(
    network: nn.Module,
    process: Process,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    alpha: Tensor,
    sigma: Tensor,
    prediction: Prediction | None,
) -> Tensor:
    """Return (ε̂ - ε)² of each image and pixel: B×CHW."""
    shape = (-1, *[1] * (x_0.ndim - 1))
    a, s = alpha.to(x_0.dtype).reshape(shape), sigma.to(x_0.dtype).reshape(shape)  # (B, 1, 1, 1)
    x_t = a * x_0 + s * eps
    condition = process.condition(t)
    if condition.is_floating_point():
        condition = condition.to(x_0.dtype)
    output = network(x_t, condition)
    estimate = estimate_from(prediction or process.prediction, output, x_t, a, s)
    return (estimate.eps - eps).square().flatten(1)


@lru_cache(maxsize=8)
def _tables(process: DiscreteVP | DiscreteVE, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return α and σ of all times, in float64 on the device."""
    times = np.arange(process.length)
    alpha, sigma = process.alpha(times), process.sigma(times)
    return torch.as_tensor(alpha, device=device), torch.as_tensor(sigma, device=device)
