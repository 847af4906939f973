"""Measure how often the intervals of figures of memorisation hold what they are about.

Usage: `uv run python tests/unit/memorisation_coverage.py 200`, the number of sets per figure. It
prints the rows of two tables in docs/metrics.md. Samples and held-out images are drawn of the
distribution of the 1,000 training images, so that nothing is copied: the distance ratio is 1, the
closer share and C_T are 0, and AuthPct is its mean over all sets. In the second table every fifth
sample is a training image, and each figure is about its mean over all sets.
"""

from __future__ import annotations

import sys

import numpy as np
from interval_coverage import Draw, clustered, gaussian, outliers, relu, skewed

from benchmark.metrics.memorisation import MEMORISATION, distinct, memorisation

TRAINING, DIMENSION = 1000, 64
SIZES = [(32, 300), (100, 100), (500, 300)]  # samples and held-out images
COPIED = 0.2
TRUE = {"distance_ratio": 1.0, "closer_share": 0.0, "data_copying": 0.0}


def covered(draw: Draw, n: int, m: int, sets: int, copied: float) -> dict[str, float | None]:
    """Return, by figure, the share of intervals of n samples and m held-out images that hold it.

    The share `copied` of the samples are training images.

    None: half of the sets have no figure, as C_T where no part of space has 20 samples.
    """
    train = draw(TRAINING, DIMENSION, np.random.default_rng(1)).astype(np.float32)
    bank = distinct(train)
    found = []
    for number in range(sets):
        rng = np.random.default_rng(100 + number)
        own, held_out = (draw(count, DIMENSION, rng).astype(np.float32) for count in (n, m))
        copies = round(copied * n)
        own[:copies] = train[rng.choice(TRAINING, copies, replace=False)]
        found.append(memorisation(own, held_out, train, bank, seed=number).values)
    shares = {}
    for name in MEMORISATION:
        values = [figures[name] for figures in found if name in figures]
        mean = float(np.mean([value.value for value in values] or [0.0]))
        true = mean if copied else TRUE.get(name, mean)
        held = [value.low <= true <= value.high for value in values]
        shares[name] = float(np.mean(held)) if 2 * len(held) > sets else None
    return shares


if __name__ == "__main__":
    for copied in (0.0, COPIED):
        print(f"{copied:.0%} copies")
        for draw in (gaussian, relu, skewed, clustered, outliers):
            by_size = [covered(draw, n, m, int(sys.argv[1]), copied) for n, m in SIZES]
            for name in MEMORISATION:
                cells = ("–" if s[name] is None else f"{s[name]:.2f}" for s in by_size)
                print(f"| {name} | {draw.__name__} | {' | '.join(cells)} |", flush=True)
