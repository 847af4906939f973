"""The base class of controls that are made."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.core.strict_model import StrictModel
from benchmark.data.prepared import Images


class MadeControl(StrictModel):
    """Images of known quality that are made from the training images.

    Attributes:
        kind: name of the control in a config.
        parts: names of the sorts of images that alternate in the control: image i belongs to part i
            modulo the number of parts. Empty: all images are of one sort.
    """

    kind: str
    parts: ClassVar[tuple[str, ...]] = ()

    @property
    def text(self) -> str:
        """What the images are, for captions."""
        raise NotImplementedError

    def make(self, train: Images, count: int, rng: np.random.Generator) -> Images:
        """Return the images, uint8 count×H×W×C.

        Args:
            train: training images, uint8 N×H×W×C, which are not changed.
            count: number of images, at most N // 2.
            rng: the only source of randomness.
        """
        raise NotImplementedError


def choose(
    train: Images, count: int, rng: np.random.Generator, rows: NDArray[np.int64] | None = None
) -> Images:
    """Return `count` of the training images, each at most once, as a new array.

    Args:
        train: training images, uint8 N×H×W×C.
        count: how many are chosen.
        rng: generator that chooses them.
        rows: numbers of the images from which they are chosen; None: all.
    """
    rows = np.arange(len(train)) if rows is None else rows
    return np.stack([train[row] for row in rng.choice(rows, count, replace=False)])
