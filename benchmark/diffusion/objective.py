"""What one step of training minimises: the loss of a process at times and noise drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate, estimate_from
from benchmark.diffusion.losses import LOSSES, Loss
from benchmark.diffusion.losses.base import Example, Levels
from benchmark.diffusion.processes.base import Prediction, Process

EVERY = slice(None)

# Predicts from (x_t: B×C×H×W, condition: B): a network, or anything that can be called like one.
Predictor: TypeAlias = Callable[[Tensor, Tensor], Any]

# (network, images: B×C×H×W in [-1, 1], generator, rows of the batch) -> their mean loss, a scalar
Objective: TypeAlias = Callable[[Predictor, Tensor, torch.Generator, slice], Tensor]


def objective(
    process: Process,
    prediction: Prediction | None = None,
    name: str | None = None,
    **options: Any,
) -> Objective:
    """Return the objective of a process; it draws its own times and noise from the generator.

    It draws them for the whole batch, of which the network sees the given rows only: the losses of
    its parts, weighted by their lengths, add up to that of the batch.

    Args:
        process: decides the loss, unless a name does.
        prediction: what the network's output means; None: what networks of the process predict.
        name: the kind of the loss; None: that of the process.
        options: of the loss, in place of its defaults.
    """
    loss = LOSSES.make(name or process.loss, **options)

    def drawn(
        network: Predictor, images: Tensor, generator: torch.Generator, rows: slice = EVERY
    ) -> Tensor:
        x_0 = process.encode(images[rows])
        t = loss.draw_times(process, len(images), generator)[rows]
        eps = torch.randn(images.shape, generator=generator, device=generator.device)[rows]
        directions = _signs(images, generator)[rows] if loss.is_sliced else None
        return loss_at(loss, network, process, x_0, t, eps, prediction, directions)

    return drawn


def loss_at(
    loss: Loss,
    network: Predictor,
    process: Process,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    prediction: Prediction | None = None,
    directions: Tensor | None = None,
) -> Tensor:
    """Return the loss of a network at given times and noise, a scalar.

    Args:
        loss: says what is minimised.
        network: predicts what `prediction` says from (x_t, `process.condition(t)`: B).
        process: gives α and σ.
        x_0: images, B×C×H×W in the process's range.
        t: times, B; of a process in discrete time integers from 0, for the smallest noise.
        eps: standard normal noise, shaped like x_0.
        prediction: what the network's output means; None: what networks of the process predict.
        directions: of a sliced loss, -1 or 1, shaped like x_0.
    """
    noisy = noised(process, x_0, t, eps)
    means = prediction or process.prediction
    a, s = noisy.alpha, noisy.sigma

    def model(x_t: Tensor) -> Estimate:
        output = network(noisy.scale * x_t, noisy.condition)
        return estimate_from(means, output, x_t, a, s, process.sigma_data)

    example = Example(noisy.x_t, Estimate(x_0, eps, a, s), noisy.levels, directions)
    return loss.of_network(network, model, example, process, means)


class Noised(NamedTuple):
    """Images with noise, and what a network is given of them.

    Attributes:
        x_t: α x_0 + σ ε, B×C×H×W.
        alpha: α of each image, B×1×1×1, in the precision of the images.
        sigma: σ of each image, likewise.
        scale: the factor of x_t with which the network is given it, likewise.
        condition: what it is told of the time, B.
        levels: the times and their noise, B each, in float64.
    """

    x_t: Tensor
    alpha: Tensor
    sigma: Tensor
    scale: Tensor
    condition: Tensor
    levels: Levels

    @property
    def given(self) -> Tensor:
        """What the network sees, x_t times the factor of the process, B×C×H×W."""
        return self.scale * self.x_t


def noised(process: Process, x_0: Tensor, t: Tensor, eps: Tensor) -> Noised:
    """Return images with noise at given times, B×C×H×W.

    Args:
        process: gives α and σ.
        x_0: images, B×C×H×W in the process's range.
        t: times, B; of a process in discrete time integers from 0, for the smallest noise.
        eps: standard normal noise, shaped like x_0.
    """
    if process.length is None:
        t = t.double()  # 1 - exp(-∫β) near 0 cancels in single precision
        alpha, sigma = process.alpha(t), process.sigma(t)
    else:
        alpha, sigma = (table[t] for table in _tables(process, process.length, t.device))
    shape = (-1, *[1] * (x_0.ndim - 1))
    a, s = alpha.to(x_0.dtype).reshape(shape), sigma.to(x_0.dtype).reshape(shape)  # (B, 1, 1, 1)
    scale = process.input_scale(t).to(x_0.dtype).reshape(shape)
    x_t = a * x_0 + s * eps
    condition = process.condition(t)
    if condition.is_floating_point():
        condition = condition.to(x_0.dtype)
    return Noised(x_t, a, s, scale, condition, Levels(t, alpha, sigma))


def _signs(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return -1 or 1 for each pixel, each with probability ½, B×C×H×W."""
    drawn = torch.randint(2, images.shape, generator=generator, device=generator.device)
    return (2 * drawn - 1).to(images.dtype)


@lru_cache(maxsize=8)
def _tables(process: Process, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return α and σ of all times of a process in discrete time, in float64 on the device."""
    times = np.arange(length)
    alpha, sigma = process.alpha(times), process.sigma(times)
    return torch.as_tensor(alpha, device=device), torch.as_tensor(sigma, device=device)
