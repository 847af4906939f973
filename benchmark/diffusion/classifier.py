"""What a classifier of noisy images learns, and how often it is right at each level of noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmark.diffusion.losses import LOSSES
from benchmark.diffusion.noise_levels import noised_at
from benchmark.diffusion.objective import EVERY, Objective, Predictor, noised
from benchmark.diffusion.processes.base import Process

LEVELS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # σ/α at which its accuracy is measured


def cross_entropy(process: Process) -> Objective:
    """Return the objective of a classifier: -log p(class | x_t, t), Song et al. 2021, appendix I.1.

    Times and noise are drawn as in a training of a score on the same process. What it is given as a
    network returns log p(class | x_t), B, since it has been told the classes: see `Told`.

    Args:
        process: gives α and σ, and the loss that decides how times are drawn.
    """
    loss = LOSSES.make(process.loss)

    def drawn(
        network: Predictor, images: Tensor, generator: torch.Generator, rows: slice = EVERY
    ) -> Tensor:
        t = loss.draw_times(process, len(images), generator)[rows]
        eps = torch.randn(images.shape, generator=generator, device=generator.device)[rows]
        noisy = noised(process, process.encode(images[rows]), t, eps)
        found: Tensor = network(noisy.given, noisy.condition)
        return -found.mean()

    return drawn


def right_at(
    log_probabilities: Callable[[Tensor, Tensor], Tensor],
    process: Process,
    time: float,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return for which images with the noise of a time a classifier is right, bool B.

    Args:
        log_probabilities: maps (x_t as given to a network: B×C×H×W, condition: B) to B×classes.
        process: gives α and σ.
        time: t.
        images: images in [-1, 1], B×C×H×W.
        labels: their classes, int64 B.
        generator: draws the noise.
    """
    noisy = noised_at(process, time, images, generator)
    return log_probabilities(noisy.given, noisy.condition).argmax(1) == labels
