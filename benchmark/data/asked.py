"""The classes of which samples are asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def asked(counts: Sequence[int], samples: int) -> NDArray[np.int64]:
    """Return the number of the class of which each sample is asked, of shape (samples,).

    Classes are as frequent as in the training set, among the first n samples too as nearly as can
    be, for every n. There is no chance in it, so that all cells of a data set have the same.

    Args:
        counts: training images of each class.
        samples: number of samples.
    """
    share, total = np.array(counts, np.int64), sum(counts)
    due, found = np.zeros(len(counts), np.int64), np.empty(samples, np.int64)
    for index in range(samples):
        due += share
        found[index] = label = int(due.argmax())
        due[label] -= total
    return found
