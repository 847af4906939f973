"""The plot of the loss of every training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.core.values import Value
from benchmark.records.record import Curve, Record
from benchmark.report import style
from benchmark.report.formats import significant
from benchmark.report.panels import LINE, LOGGED, MEAN, End, legend, name_ends, scale
from benchmark.report.saving import tell

LOWEST = 2.6  # inches of the plot
POINTS = 200  # of a small curve


def loss_curves(records: Iterable[Record]) -> Figure | None:
    """Draw the loss of every training: as logged, faint, and its moving mean with its name."""
    trained = [(record.id, record.curve) for record in records if record.curve]
    if not trained:
        return None
    height = max(LOWEST, LINE * len(trained))
    figure = Figure(figsize=(style.WIDTH, height + 1.1))
    axes = figure.subplots()
    named = []
    for index, (name, curve) in enumerate(trained):
        colour, mean = style.colour(index), moving_mean(curve)
        axes.plot(curve.steps, curve.loss, lw=0.6, alpha=0.25, color=colour, label=LOGGED)
        look: dict[str, Any] = {"color": colour, "ls": style.line(index), "lw": 1.4}
        [line] = axes.plot(curve.steps, mean, label=MEAN, **look)
        tell(line, f"{name}\nloss {significant(mean[-1])} at step {curve.steps[-1]}")
        named.append(
            End(curve.steps[-1], mean[-1], name, {"color": colour, "marker": "_", "mew": 1.4})
        )
    logged = [loss for _, curve in trained for loss in curve.loss]
    kind = scale(axes, "y", [Value(value=min(logged)), Value(value=max(logged))])
    axes.set(title="Training loss", xlabel="optimiser step, linear scale", ylabel=f"loss, {kind}")
    axes.set_xlim(0, max(curve.steps[-1] for _, curve in trained))
    legend(figure)
    name_ends(axes, named, height)
    return figure


def curves_of(records: Iterable[Record]) -> dict[str, str]:
    """Return the path of the mean loss of every training, in a box of 100 × 100, by its name.

    All have the same axes: steps on a linear scale, loss on a logarithmic one.
    """
    trained = {record.id: record.curve for record in records if record.curve}
    means = {name: np.log(np.maximum(moving_mean(c), 1e-12)) for name, c in trained.items()}
    if not trained:
        return {}
    low, high = min(m.min() for m in means.values()), max(m.max() for m in means.values())
    longest = max(curve.steps[-1] for curve in trained.values())
    return {
        name: " ".join(
            f"{100 * step / longest:.1f},{100 * (high - loss) / max(high - low, 1e-12):.1f}"
            for step, loss in _thinned(curve.steps, means[name])
        )
        for name, curve in trained.items()
    }


def _thinned(steps: Sequence[int], loss: NDArray[np.float64]) -> Iterable[tuple[int, float]]:
    """Return at most POINTS points of a curve, among them the last."""
    every = -(-len(steps) // POINTS)
    chosen = [*range(0, len(steps) - 1, every), len(steps) - 1]
    return ((steps[i], float(loss[i])) for i in chosen)


def moving_mean(curve: Curve) -> NDArray[np.float64]:
    """Return the moving mean of a curve's losses, of shape (points,).

    The window is a twentieth of the curve, centred on the point, and cut off at the curve's ends.
    """
    loss = np.asarray(curve.loss)
    half = len(loss) // 40
    sums = np.concatenate([[0.0], loss.cumsum()])
    index = np.arange(len(loss))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(loss))
    mean: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return mean
