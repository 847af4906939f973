"""Weights for tests that need a network and no training."""

from __future__ import annotations

import torch

from benchmark.config.config import Config
from benchmark.models.weights import save_weights
from benchmark.storage.paths import Run


def with_random_weights(config: Config, run: Run) -> None:
    """Write random weights for every training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in config.trainings:
        resolution = config.data[config.trainings[name].dataset].resolution
        network = config.networks["net"].build(resolution)
        save_weights(run.weights(name), network.state_dict(), config.job("train", name).spec())
