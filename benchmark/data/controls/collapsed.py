"""A few images again and again, as of a generator that has collapsed."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.data.controls.base import MadeControl, choose
from benchmark.data.prepared import Images


class Collapsed(MadeControl):
    """A few training images, each as often as the others."""

    kind: Literal["collapsed"] = "collapsed"
    modes: int = Field(default=4, ge=1, le=1000, description="Different images")

    @property
    def text(self) -> str:
        """What the images are, for captions."""
        return f"{self.modes} training images again and again, as of a collapsed generator"

    def make(self, train: Images, count: int, rng: np.random.Generator) -> Images:
        """Return `count` images, uint8 count×H×W×C; see `MadeControl.make`."""
        few = choose(train, min(self.modes, len(train)), rng)
        return few[np.arange(count) % len(few)]
