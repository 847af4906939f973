"""Training images with noise that nobody sees."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.data.controls.base import MadeControl, choose
from benchmark.data.prepared import Images


class FaintNoise(MadeControl):
    """Training images, each taken at most once, whose pixels differ by a few grey levels.

    A metric that tells them from others of the training images judges what people do not see.
    """

    kind: Literal["faint-noise"] = "faint-noise"
    levels: int = Field(
        default=1, ge=1, le=255, description="Most grey levels by which a pixel differs"
    )

    @property
    def text(self) -> str:
        """What the images are, for captions."""
        unit = "grey level" if self.levels == 1 else "grey levels"
        return f"training images with noise of at most {self.levels} {unit}, which nobody sees"

    def make(self, train: Images, count: int, rng: np.random.Generator) -> Images:
        """Return training images with noise, uint8 count×H×W×C; see `MadeControl.make`."""
        chosen = choose(train, count, rng).astype(np.int16)
        chosen += rng.integers(-self.levels, self.levels + 1, chosen.shape, dtype=np.int16)
        return chosen.clip(0, 255).astype(np.uint8)
