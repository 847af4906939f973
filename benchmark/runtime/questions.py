"""Questions about held-out images: what is given of them, the same for every cell of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.core.seeds import stream_seed
from benchmark.data import load_dataset
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.question import Question
from benchmark.runtime.model_range import to_model_range

if TYPE_CHECKING:
    from benchmark.config.tasks import Task
    from benchmark.diffusion.denoiser import Denoiser
    from benchmark.diffusion.processes.base import Array, Process
    from benchmark.diffusion.samplers.base import Model, Noise


@dataclass(frozen=True)
class Questions:
    """The questions of a task: number q is about the held-out image number q.

    Attributes:
        task: what is asked.
        images: the held-out images, uint8 N×H×W×C.
    """

    task: Task
    images: NDArray[np.uint8]

    @classmethod
    def of(cls, task: Task, folder: Path) -> Questions:
        """Return the questions about a prepared data set, in its folder.

        Raises:
            BenchmarkError: the data set is missing or damaged.
        """
        return cls(task, load_dataset(folder, verify=True).held_out)

    def given(self, questions: Sequence[int]) -> Tensor:
        """Return y of the questions with these numbers (B), of images in [-1, 1]: B×….

        The noise depends on the task and on the number of the question alone.
        """
        x = to_model_range(torch.from_numpy(self.images[list(questions)]))
        seed = stream_seed("question", self.task.question_seed)
        return self.task.ask(x, NoiseStream(seed, questions, x.shape[1:])())

    def steered(
        self,
        model: Denoiser,
        process: Process,
        indices: Sequence[int],
        timesteps: Array,
        noise: Noise,
        device: torch.device,
    ) -> tuple[Model, Callable[[Tensor], Tensor]]:
        """Return the model that a sampler is given, and what makes answers of its result.

        Sample number i answers the question i // `answers`. The result is B×C×H×W.

        Args:
            model: evaluates the network.
            process: gives α and σ.
            indices: numbers of the samples (B).
            timesteps: the times that the sampler steps through, of shape (n,).
            noise: gives the next standard normal tensor, B×C×H×W.
            device: where the samples are.
        """
        with torch.inference_mode(False):  # else nothing could be differentiated that depends on y
            y = self.given([i // self.task.answers for i in indices])
            question = Question.of(self.task, y.to(device), process)
        method = self.task.method
        steered = method.steer(model, process, question, timesteps, noise)
        return steered, partial(method.finish, question=question)
