"""Colourisation: the grey channel is given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from benchmark.diffusion.operators.base import Operator

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS = 3


class Colourise(Operator):
    """Gives the first channel after an orthogonal transform of the colours, (R + G + B)/√3.

    Song et al. 2021, appendix I.3: the transform separates what is given from what is not, so that
    colourisation becomes the inpainting of the other two channels. Here A is its first row alone.
    """

    kind: Literal["colourise"] = "colourise"

    def forward(self, x: Tensor) -> Tensor:
        """Return the grey channel of images, B×3×H×W: B×1×H×W."""
        return x.sum(dim=1, keepdim=True) / math.sqrt(CHANNELS)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the grey channel, B×1×H×W, in equal shares of each colour: B×3×H×W."""
        return (y / math.sqrt(CHANNELS)).expand(-1, CHANNELS, -1, -1)

    def check(self, resolution: int, channels: int) -> None:
        """Refuse images without colours."""
        if channels != CHANNELS:
            raise ValueError(
                f"kind: colourise is for images of {CHANNELS} channels, and these have {channels}: "
                "nothing would be asked"
            )
