"""Random pixels, the worst that a model can make."""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.data.controls.base import MadeControl
from benchmark.data.prepared import Images


class Noise(MadeControl):
    """Pixels that are uniform from 0 to 255."""

    kind: Literal["noise"] = "noise"

    @property
    def text(self) -> str:
        """What the images are, for captions."""
        return "uniform random pixels, the ceiling"

    def make(self, train: Images, count: int, rng: np.random.Generator) -> Images:
        """Return random pixels, uint8 count×H×W×C as the training images N×H×W×C."""
        return rng.integers(0, 256, (count, *train.shape[1:]), dtype=np.uint8)
