"""Measure how often the intervals of `mode-coverage` and `mode-distance` hold what they are about.

Usage: `uv run python tests/unit/modes_coverage.py 200`, the number of sets per figure. It prints
the rows of a table in docs/metrics.md: the share of intervals that hold the mean over all sets of
as many samples, and the share that hold the figure of infinitely many samples. The data have 20
classes, and 10,000 images.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.modes import ModeCoverage, ModeDistance, Modes

CLASSES, IMAGES = 20, 10_000
SIZES = (100, 300, 1000)
ROUNDING = 1e-9
# How often samples are of a class, for the equal classes of the data.
FREQUENCIES = {
    "as the data": np.ones(CLASSES),
    "falling to a ninth": np.geomspace(1, 1 / 9, CLASSES),
    "half of the classes": np.arange(CLASSES) % 2.0,
    "a quarter of them at a tenth": np.where(np.arange(CLASSES) % 4, 1.0, 0.1),
}


def classes(frequencies: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.bool]:
    """Return the classes of n images, n×CLASSES, 1 at the class of each."""
    drawn = rng.choice(CLASSES, n, p=frequencies / frequencies.sum())
    return np.eye(CLASSES, dtype=bool)[drawn]


def covered(metric: Modes, frequencies: NDArray[np.float64], n: int, sets: int) -> str:
    """Return the two shares of intervals as a cell of the table."""
    real = np.tile(np.eye(CLASSES), (IMAGES // CLASSES, 1))
    rngs = [np.random.default_rng(number) for number in range(sets)]
    found = [metric.compute(classes(frequencies, n, rng), real) for rng in rngs]
    mean = np.mean([value.value for value in found])
    limit = metric.of_shares(frequencies / frequencies.sum(), real.mean(0))
    held = [
        np.mean([value.low - ROUNDING <= true <= value.high + ROUNDING for value in found])
        for true in (mean, limit)
    ]
    return " / ".join(f"{share:.2f}" for share in held)


if __name__ == "__main__":
    for metric in (ModeCoverage(), ModeDistance()):
        for name, frequencies in FREQUENCIES.items():
            cells = (covered(metric, frequencies, n, int(sys.argv[1])) for n in SIZES)
            print(f"| {metric.kind} | {name} | {' | '.join(cells)} |", flush=True)
