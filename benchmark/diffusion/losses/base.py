"""What all losses share: how times are drawn and how squared errors are weighed."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import StrictModel
from benchmark.diffusion.processes.base import Prediction, Process

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchmark.diffusion.denoiser import Estimate

LEAST_TIME = 1e-5  # of an SDE's training, Song et al. 2021, code; its sampling may end before


class Loss(StrictModel):
    """E[w(t) ‖ŷ(x_t, t) - y‖²] with x_t = α(t) x_0 + σ(t) ε, where y is ε or what `target` says.

    A network that predicts something else than y is judged by the ŷ that follows from it, as
    ε̂ = -σ s from a score s. On a process that ends at α = 0, y is what the network predicts.

    Attributes:
        trains: what it is the loss of, in messages.
        target: of what the squared errors are.
    """

    trains: ClassVar[str]
    target: ClassVar[Prediction] = "eps"
    kind: str

    def draw_times(self, process: Process, count: int, generator: torch.Generator) -> Tensor:
        """Draw times uniformly, shape (count,): integers, or float64 in continuous time."""
        import torch

        device = generator.device
        if process.length is not None:
            return torch.randint(process.length, (count,), generator=generator, device=device)
        even = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        least = min(process.t_min, LEAST_TIME)
        return least + (process.t_max - least) * even

    @abstractmethod
    def weigh(self, error: Tensor, process: Process, t: Tensor, sigma: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            error: (ŷ - y)² of each image and pixel, B×CHW.
            process: the process that is learnt.
            t: the times of the images, B; in float64 where time is continuous.
            sigma: σ(t), B, in float64.
        """

    def of_variance(self, process: Process, x_0: Tensor, estimate: Estimate, t: Tensor) -> Tensor:
        """Return what is added for the variances that a network predicts, a scalar.

        Args:
            process: the process that is learnt.
            x_0: images, B×C×H×W.
            estimate: of x_0 and of the variance, from x_t.
            t: the times of the images, B.

        Raises:
            BenchmarkError: the loss has nothing that trains them.
        """
        raise BenchmarkError(
            f"training: nothing of the loss {self.kind} trains the second half of the channels "
            "that this network makes: learned_variance on a discrete VP schedule would, or a "
            "network of as many channels as images have"
        )
