"""Super-resolution: a smaller image is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from benchmark.diffusion.operators.base import Operator

if TYPE_CHECKING:
    from torch import Tensor


class SuperResolution(Operator):
    """Gives the mean of each square of factor × factor pixels: A Aᵀ = I / factor²."""

    kind: Literal["super-resolution"] = "super-resolution"
    factor: int = Field(default=4, ge=2, le=1024, description="Pixels on a side of a square")

    @property
    def label(self) -> str:
        """Name the factor."""
        return f"{self.kind}-{self.factor}"

    @property
    def gram(self) -> float:
        """The c of A Aᵀ = c I."""
        return 1 / self.factor**2

    def forward(self, x: Tensor) -> Tensor:
        """Return the means of squares of images, B×C×H×W: B×C×(H/factor)×(W/factor)."""
        from torch.nn import functional as F

        return F.avg_pool2d(x, self.factor)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return each mean in equal shares of its square: B×C×H×W."""
        spread = y.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)
        return spread / self.factor**2

    def check(self, resolution: int, channels: int) -> None:
        """Refuse images that do not consist of whole squares."""
        if resolution % self.factor:
            raise ValueError(
                f"factor: {resolution} pixels are no multiple of {self.factor}: choose one that "
                f"divides {resolution}"
            )
