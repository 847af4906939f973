"""A question to a sampler: what is given of some images, in the range of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.diffusion.operators import Operator
    from benchmark.diffusion.processes.base import Process


@dataclass(frozen=True)
class Question:
    """What is given of a batch of images, y = A x + σ_y z.

    Attributes:
        operator: A.
        y: what is given, B×….
        noise: σ_y.
    """

    operator: Operator
    y: Tensor
    noise: float

    @classmethod
    def of(cls, operator: Operator, y: Tensor, process: Process) -> Question:
        """Return the question in the range of a process, which scales and shifts images.

        With x' = s x + b it is y' = s y + A b, and the noise is s σ_y.

        Args:
            operator: A.
            y: what is given of images in [-1, 1], B×….
            process: gives the range.
        """
        low, high = process.data_range
        scale = (high - low) / 2
        middle = process.encode(operator.adjoint(y) * 0)
        return cls(operator, scale * y + operator.forward(middle), scale * operator.noise)

    def residual(self, x: Tensor) -> Tensor:
        """Return y - A x for images in the range of the process, B×C×H×W."""
        return self.y - self.operator.forward(x)

    def completed(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the images nearest to x, B×C×H×W, of which y is given: x + A⁺(y - A x)."""
        return x + self.operator.pseudo_inverse(y - self.operator.forward(x))
