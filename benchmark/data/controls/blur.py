"""Training images that have lost their fine detail."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.data.controls.base import MadeControl, choose
from benchmark.data.prepared import Images


class Blur(MadeControl):
    """Training images, each taken at most once, with a Gaussian blur."""

    kind: Literal["blur"] = "blur"
    width: float = Field(
        default=1 / 32, gt=0, le=1, description="Standard deviation, in widths of the image"
    )

    @property
    def text(self) -> str:
        """What the images are, for captions."""
        share = Fraction(self.width).limit_denominator(1000)
        return f"training images with a Gaussian blur, σ = {share} of the width"

    def make(self, train: Images, count: int, rng: np.random.Generator) -> Images:
        """Return blurred training images, uint8 count×H×W×C; see `MadeControl.make`."""
        from scipy.ndimage import gaussian_filter  # takes longer to import than all else here

        sigma = self.width * train.shape[2]
        chosen = choose(train, count, rng).astype(np.float32)
        smooth = gaussian_filter(chosen, (0, sigma, sigma, 0), mode="nearest")
        return smooth.round().astype(np.uint8)
