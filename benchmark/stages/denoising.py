"""How well a trained network tells the noise in training and in held-out images, by its level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.core.seeds import stream_seed
from benchmark.diffusion.guidance import Told
from benchmark.diffusion.noise_levels import FINE_LEVELS, denoising_error, times_of_levels
from benchmark.metrics.uncertainty import mean
from benchmark.records.sections import ErrorAtLevel
from benchmark.runtime.device import arithmetic
from benchmark.runtime.model_range import to_model_range

if TYPE_CHECKING:
    from benchmark.config.jobs.train import TrainJob
    from benchmark.data import Dataset

IMAGES = 128  # of each set at most


@torch.inference_mode()
def errors_by_level(
    job: TrainJob, network: torch.nn.Module, dataset: Dataset, device: torch.device
) -> list[ErrorAtLevel]:
    """Return the errors of a network at each level of noise, from little noise to much.

    Of a network that makes images at once there are none.

    Args:
        job: training that made the network.
        network: the network, on the device, ready to be evaluated.
        dataset: its images.
        device: where it computes.
    """
    process = job.schedule.process()
    if not process.has_path:
        return []
    prediction = job.settings.prediction or process.prediction
    sets = (
        (dataset.train, dataset.train_labels),
        (dataset.held_out, dataset.held_out_labels),
    )
    given = [_first(images, labels, device) for images, labels in sets]

    def errors(time: float, images: Tensor, labels: Tensor | None) -> NDArray[np.float64]:
        # The same noise for both sets and whatever is trained.
        seed = stream_seed(job.seed, "errors by level")
        generator = torch.Generator(device).manual_seed(seed)
        found = []
        for rows in torch.split(torch.arange(len(images), device=device), job.settings.batch):
            is_told = labels is not None and job.network.classes is not None
            told = Told(network, labels[rows]) if is_told and labels is not None else network
            with arithmetic(job.computing.precision, device):
                found.append(
                    denoising_error(told, process, prediction, time, images[rows], generator)
                )
        return np.asarray(torch.cat(found).double().cpu())

    return [
        ErrorAtLevel(
            time=time,
            noise=float(process.sigma(time)) / float(process.alpha(time)),
            training=mean(errors(time, *given[0])),
            held_out=mean(errors(time, *given[1])),
        )
        for time in times_of_levels(process, FINE_LEVELS) or [process.t_min]
    ]


def _first(
    images: NDArray[np.uint8], labels: NDArray[np.integer] | None, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Return the first images in [-1, 1], B×C×H×W, and their classes, on the device."""
    x = to_model_range(torch.from_numpy(images[:IMAGES].copy()).to(device))
    if labels is None:
        return x, None
    return x, torch.from_numpy(labels[:IMAGES].astype(np.int64)).to(device)
