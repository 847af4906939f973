"""What training minimises, one loss for each kind of process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.diffusion.processes import Array, DiscreteVP, Process

# (network, images: B×C×H×W in [-1, 1], generator) -> mean loss, a scalar
Loss: TypeAlias = Callable[[nn.Module, Tensor, torch.Generator], Tensor]


def loss_function(process: Process) -> Loss:
    """Return the loss of a process; it draws its own times and noise from the generator."""
    if not isinstance(process, DiscreteVP):
        raise NotImplementedError

    def loss(network: nn.Module, images: Tensor, generator: torch.Generator) -> Tensor:
        t = torch.randint(
            process.length, (len(images),), generator=generator, device=generator.device
        )
        eps = torch.randn(images.shape, generator=generator, device=generator.device)
        return l_simple(network, process, images, t, eps)

    return loss


def l_simple(
    network: nn.Module, process: DiscreteVP, x_0: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """Return the mean of (ε - ε_θ(x_t, t))², Ho et al. 2020, equation 14.

    Args:
        network: predicts ε from (x_t, t: B).
        process: gives ᾱ.
        x_0: images, B×C×H×W in [-1, 1].
        t: integer times, B, from 0.
        eps: standard normal noise, shaped like x_0.
    """
    times = np.arange(process.length)
    x_t = _at(process.alpha(times), t, x_0) * x_0 + _at(process.sigma(times), t, x_0) * eps
    loss: Tensor = (eps - network(x_t, t)).square().mean()
    return loss


def _at(table: Array, t: Tensor, like: Tensor) -> Tensor:
    """Return the table's entries at t: B, as factors of a batch: B×1×1×1."""
    entries = torch.as_tensor(table, dtype=like.dtype, device=like.device)[t]
    return entries.reshape(-1, *[1] * (like.ndim - 1))
