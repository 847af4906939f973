"""A mixture of Gaussians with its exact scores and classifier, and how exactly it is steered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from analytic import PROCESSES
from torch import Tensor

from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.guidance import ClassGradient
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.samplers import SAMPLERS

SHAPE = (1, 2, 2)  # of an image
WEIGHTS = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)  # of the classes
MEANS = torch.tensor(
    [[-0.6, -0.2, 0.1, 0.5], [0.4, 0.4, -0.4, -0.4], [0.7, 0.0, 0.0, 0.2]], dtype=torch.float64
).reshape(3, *SHAPE)
STDS = torch.tensor([0.2, 0.3, 0.25], dtype=torch.float64)


class ToldTimes:
    """A process whose networks are told the time itself."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self.process, name)

    def condition(self, t: float) -> float:
        return t

    def input_scale(self, t: float) -> float:
        return 1.0


class Mixture:
    """A mixture of a Gaussian N(m_k, s_k² I) for each class k, seen through a process."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def log_joint(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return log p(k, x_t), B×K, (x_t - α m_k)/(α² s_k² + σ²), B×K×C×H×W, and σ."""
        alpha, sigma = (float(f(float(t[0]))) for f in (self.process.alpha, self.process.sigma))
        total = (alpha * STDS) ** 2 + sigma**2
        gaps = x[:, None] - alpha * MEANS
        square = gaps.square().sum((2, 3, 4))
        log = WEIGHTS.log() - square / (2 * total) - 0.5 * MEANS[0].numel() * total.log()
        return log, gaps / total[:, None, None, None], sigma

    def eps(self, x: Tensor, t: Tensor) -> Tensor:
        log, pulls, sigma = self.log_joint(x, t)
        return sigma * (log.softmax(1)[..., None, None, None] * pulls).sum(1)

    def x0(self, x: Tensor, t: Tensor) -> Tensor:
        log, pulls, _ = self.log_joint(x, t)
        alpha = float(self.process.alpha(float(t[0])))
        means = MEANS + alpha * STDS[:, None, None, None] ** 2 * pulls
        return (log.softmax(1)[..., None, None, None] * means).sum(1)

    def classify(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        return self.log_joint(x, t)[0].log_softmax(1).gather(1, labels[:, None])[:, 0]


class OfClasses:
    """The exact ε of the classes of a batch."""

    def __init__(self, data: Mixture, labels: Tensor) -> None:
        self.data, self.labels = data, labels

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        _, pulls, sigma = self.data.log_joint(x, t)
        return sigma * pulls[torch.arange(len(x)), self.labels]

    def of_rows(self, rows: slice) -> OfClasses:
        return OfClasses(self.data, self.labels[rows])


def noises(seed: int, shape: tuple[int, ...]) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float64)


def models(process: Process, labels: Tensor, scale: float = 1.0) -> tuple[Denoiser, Denoiser]:
    """Return the exact unconditional network with the exact classifier, and that of the classes."""
    data, told = Mixture(process), ToldTimes(process)
    steered = Denoiser(data.eps, told, "eps")  # type: ignore[arg-type]
    steered.towards = ClassGradient(data.classify, labels, scale)
    return steered, Denoiser(OfClasses(data, labels), told, "eps")  # type: ignore[arg-type]


def steered_table(scales: tuple[float, ...], keys: tuple[str, ...]) -> list[list[str]]:
    """Return a row for each scale: how far the samples of a class are from it, by process."""
    return [
        [f"classifier, w = {scale:g}", *(_off(PROCESSES[key], scale) for key in keys)]
        for scale in scales
    ]


def _off(process: Process, scale: float, count: int = 3000) -> str:
    """Return the distance of the means in standard deviations, and the ratio of the deviations."""
    sampler, labels = SAMPLERS.make("heun"), torch.arange(3 * count) // count
    noise = noises(0, (3 * count, *SHAPE))
    model, _ = models(process, labels, scale)
    model.network, model.prediction = Mixture(process).x0, "x0"
    with torch.inference_mode():
        x_T = process.prior(noise())
        x = sampler.sample(model, process, x_T, sampler.plan(process, 100), noise)
    offs, ratios = [], []
    for label, std in enumerate(STDS.tolist()):
        own = x[labels == label].flatten(1)
        spread = std * own.shape[1] ** 0.5
        offs.append(float((own.mean(0) - MEANS[label].flatten()).norm()) / spread)
        ratios.append(float(own.var(0).sum().sqrt()) / spread)
    return f"{sum(offs) / 3:.2f} / {sum(ratios) / 3:.2f}"
