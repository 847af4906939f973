"""The way of the first images of a cell from noise to samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmark.diffusion.processes.base import Process
from benchmark.runtime.model_range import to_uint8
from benchmark.storage.pictures import CHAIN_FRAMES

CHAIN_IMAGES = 6  # rows of the picture from noise to image
MOVIE_STEPS = 64  # of a sampler with at most so many steps, the movie shows every state


class Chain:
    """Keeps states of the first images on their way from noise: all, or evenly spaced ones.

    Args:
        process: the process of the states.
        steps: number of steps of the sampler.
    """

    def __init__(self, process: Process, steps: int) -> None:
        count = steps if steps <= MOVIE_STEPS else CHAIN_FRAMES - 1
        self.wanted = {round(k * steps / count) for k in range(count)}
        self.process = process
        self.frames: list[Tensor] = []

    def __call__(self, i: int, t: float, x_t: Tensor, x0_hat: Tensor) -> None:
        """Keep the state of step `i` if it is one of the frames: the callback of a sampler.

        Args:
            i: number of the step, from 0.
            t: time of the state.
            x_t: state of the batch, B×C×H×W.
            x0_hat: prediction of the images, B×C×H×W, which is not kept.
        """
        if i in self.wanted:
            self.frames.append(x_t[:CHAIN_IMAGES].clone())

    def movie(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return all frames, uint8 frames×n×H×W×C; the final `images`, N×H×W×C, are the last."""
        states = [to_uint8(self.process.decode(x)).cpu().numpy() for x in self.frames]
        return np.stack([*states, images[: len(self.frames[0])]])
