"""Training images without a whole part of their variety."""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.data.controls.base import MadeControl, choose
from benchmark.data.prepared import Images


class DroppedMode(MadeControl):
    """Training images of which none is brighter than the median one."""

    kind: Literal["dropped-mode"] = "dropped-mode"

    @property
    def text(self) -> str:
        """What the images are, for captions."""
        return "training images without the brighter half of them"

    def make(self, train: Images, count: int, rng: np.random.Generator) -> Images:
        """Return images of the darker half, each taken at most once, uint8 count×H×W×C.

        See `MadeControl.make`.
        """
        brightness = np.array([image.mean() for image in train])
        darker = np.argsort(brightness, kind="stable")[: len(train) // 2]
        return choose(train, count, rng, darker)
