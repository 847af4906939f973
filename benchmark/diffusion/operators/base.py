"""What all operators share: y = A x + σ_y z is given of an image x, with A linear."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchmark.core.strict_model import NotNegative, Seed, StrictModel

if TYPE_CHECKING:
    from torch import Tensor


class Operator(StrictModel):
    """The options of an operator, as they stand in a config; `kind` is the operator's name.

    A maps images, B×C×H×W, to what is given of them, B×…, each image by itself.
    """

    kind: str
    noise: NotNegative = Field(
        default=0.0,
        description="σ_y: standard deviation of the noise on what is given, of pixels in [-1, 1]",
    )
    question_seed: Seed = Field(default=0, description="Seed of that noise, and of a random mask")

    @property
    def label(self) -> str:
        """A short name of what is asked, for ids of cells."""
        return self.kind

    @property
    def gram(self) -> float:
        """The c of A Aᵀ = c I, on what A can give; see `solve` of operators that have none."""
        return 1.0

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return A x for images, B×C×H×W."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Return Aᵀ y, B×C×H×W."""

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """Return A⁺ y, B×C×H×W: of the images with A x = y that of the least norm."""
        return self.adjoint(y) / self.gram

    def solve(self, y: Tensor, image: float, noise: float) -> Tensor:
        """Return (r² A Aᵀ + σ² I)⁻¹ y for what A can give, of the shape of y.

        Args:
            y: what is multiplied, B×….
            image: r², a variance of images.
            noise: σ², a variance of what is given; r² + σ² > 0.
        """
        return y / (image * self.gram + noise)

    def noise_from(self, z: Tensor) -> Tensor:
        """Return standard normal noise on what is given, from that of images, B×C×H×W."""
        return self.forward(z) / math.sqrt(self.gram)

    def ask(self, images: Tensor, z: Tensor) -> Tensor:
        """Return y = A x + σ_y z.

        Args:
            images: x, B×C×H×W in [-1, 1].
            z: standard normal noise of the shape of x.
        """
        y = self.forward(images)
        return y + self.noise * self.noise_from(z) if self.noise else y

    def shown(self, y: Tensor) -> Tensor:
        """Return an image that shows what is given, B×C×H×W."""
        return self.pseudo_inverse(y)

    def check(self, resolution: int, channels: int) -> None:
        """Refuse images for which the operator is not defined.

        Args:
            resolution: height and width of the images.
            channels: number of their channels.

        Raises:
            ValueError: it is not; the message begins with the option.
        """

    def spec(self) -> dict[str, Any]:
        """Return all that A and the noise depend on, as data for JSON, without paths of files."""
        return self.model_dump(mode="json")
