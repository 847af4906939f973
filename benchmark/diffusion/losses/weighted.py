"""What losses share whose space and weight a config may choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from benchmark.diffusion.losses.base import Levels, Regression, Space
from benchmark.diffusion.processes.base import Prediction, Process

if TYPE_CHECKING:
    from torch import Tensor

Weight = Literal["uniform", "min-snr", "edm"]


class Weighted(Regression):
    """E[w(t) ‖ŷ(x_t, t) - y‖²], the mean over pixels, with y and w of the config's choice.

    As x_t is known, the error of every y is a multiple of that of x_0: ε̂ - ε = -(α/σ) (x̂_0 - x_0),
    that of v has the factor -(α² + σ²)/σ, and that of the velocity -(α + σ)/σ. So a weight that is
    stated for x_0 is divided by the factor's square.

    Attributes:
        usual_space: y of the paper.
        usual_weight: w of the paper.
    """

    usual_space: ClassVar[Space]
    usual_weight: ClassVar[Weight] = "uniform"
    loss_space: Space | None = Field(
        default=None,
        description="Of what the squared errors are taken, whatever is predicted; null: as in the "
        "paper. The weights min-snr and edm make the same loss in every space",
    )
    loss_weight: Weight | None = Field(
        default=None,
        description="uniform: all times weigh alike; min-snr: the error of x_0 weighs min(SNR, γ), "
        "[Hang et al. 2023](https://arxiv.org/abs/2303.09556); edm: it weighs "
        "(σ² + σ_data²)/(σ σ_data)², [Karras et al. 2022](https://arxiv.org/abs/2206.00364); "
        "null: as in the paper",
    )
    min_snr_gamma: float = Field(
        default=5.0, gt=0, le=1e6, description="γ of the weight min-snr, as in its paper"
    )

    @model_validator(mode="after")
    def _check_gamma(self) -> Weighted:
        if "min_snr_gamma" in self.model_fields_set and self.weight != "min-snr":
            raise ValueError("min_snr_gamma: is of the weight min-snr: set loss_weight: min-snr")
        return self

    def space(self, process: Process, prediction: Prediction) -> Space:
        """Return what y is; where it would be ε, which is x_t at α = 0, what is predicted.

        Uniform errors of ε can be asked for: that of α = 0 is 0. Another weight is one of the error
        of x_0, which would then be 0/0. It makes the same loss in every space.
        """
        chosen = self.loss_space or self.usual_space
        if chosen == "eps" and not (self.loss_space and self.weight == "uniform"):
            return super().space(process, prediction)
        return chosen

    @property
    def weight(self) -> Weight:
        """The name of w."""
        return self.loss_weight or self.usual_weight

    def weigh(self, error: Tensor, space: Space, process: Process, levels: Levels) -> Tensor:
        """Return the mean of `error`, B×CHW, over images and pixels."""
        if self.weight == "uniform":
            return error.mean()
        weight = self._of_x0(process, levels) / _factor(space, levels) ** 2
        return (error * weight[:, None]).mean()

    def _of_x0(self, process: Process, levels: Levels) -> Tensor:
        """Return the weight of (x̂_0 - x_0)², B."""
        snr = (levels.alpha / levels.sigma) ** 2
        if self.weight == "min-snr":  # Hang et al. 2023, section 3.4, of pixels in [-1, 1]
            low, high = process.data_range
            return snr.clamp(max=self.min_snr_gamma * (2 / (high - low)) ** 2)
        return snr + process.sigma_data**-2  # λ of Karras et al. 2022, table 1, as σ is σ/α


def _factor(space: Space, levels: Levels) -> Tensor:
    """Return by what the error of x_0 is multiplied to get that of y, but for its sign: B."""
    _, alpha, sigma = levels
    if space == "x0":
        return alpha * 0 + 1
    if space == "eps":
        return alpha / sigma
    return (alpha + sigma if space == "velocity" else alpha**2 + sigma**2) / sigma
