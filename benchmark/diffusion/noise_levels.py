"""What networks make of images at one level of noise."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from benchmark.diffusion.denoiser import estimate_from
from benchmark.diffusion.objective import Noised, Predictor, noised
from benchmark.diffusion.processes.base import Prediction, Process

FINE_LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # σ/α


def times_of_levels(process: Process, levels: Iterable[float]) -> list[float]:
    """Return the times at which σ/α is nearest to each of `levels` that the process has."""
    least, most = (process.snr(np.float64(t)) for t in (process.t_max, process.t_min))
    found = [noise for noise in levels if least <= noise**-2 <= most]
    times = np.asarray(process.time_of(np.array(found)), np.float64)
    return [float(t) for t in (times if process.length is None else times.round())]


def noised_at(process: Process, time: float, images: Tensor, generator: torch.Generator) -> Noised:
    """Return images with the noise of a time.

    Args:
        process: gives α and σ.
        time: t.
        images: images in [-1, 1], B×C×H×W.
        generator: draws the noise.
    """
    t = torch.full((len(images),), time, device=images.device, dtype=torch.float64)
    eps = torch.randn(images.shape, generator=generator, device=generator.device)
    whole = t if process.length is None else t.long()
    return noised(process, process.encode(images), whole, eps)


def denoising_error(
    network: Predictor,
    process: Process,
    prediction: Prediction,
    time: float,
    images: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return the mean over pixels of (ε̂ - ε)² of each image, B; that of ε̂ = 0 is about 1.

    It is the loss of DDPM at one time, Ho et al. 2020, equation 14, whatever the network predicts.

    Args:
        network: predicts what `prediction` says from (x_t, condition).
        process: gives α and σ, and α is not 0 at the time.
        prediction: what the network's output means.
        time: t.
        images: images in [-1, 1], B×C×H×W.
        generator: draws the noise.
    """
    noisy = noised_at(process, time, images, generator)
    output = network(noisy.given, noisy.condition).to(images.dtype)
    scales = (noisy.alpha, noisy.sigma, process.sigma_data)
    estimate = estimate_from(prediction, output, noisy.x_t, *scales)
    eps = (noisy.x_t - noisy.alpha * process.encode(images)) / noisy.sigma
    return (estimate.eps - eps).square().flatten(1).mean(1)
