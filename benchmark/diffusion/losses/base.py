"""What all losses share: they are weighted squared errors of the predicted noise."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from benchmark.core.strict import Strict
from benchmark.diffusion.processes.base import Process

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Strict):
    """E[w(t) ‖ε̂(x_t, t) - ε‖²] with x_t = α(t) x_0 + σ(t) ε.

    A network that predicts something else than ε is judged by the ε̂ that follows from it, as
    ε̂ = -σ s from a score s.

    Attributes:
        trains: what it is the loss of, in messages.
    """

    trains: ClassVar[str]
    kind: str

    @abstractmethod
    def weigh(self, error: Tensor, process: Process, t: Tensor, sigma: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            error: (ε̂ - ε)² of each image and pixel, B×CHW.
            process: the process that is learnt.
            t: the times of the images, B; in float64 where time is continuous.
            sigma: σ(t), B, in float64.
        """
