"""The plot of the denoising loss of every training by level of noise, and by kind of images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.core.values import Value
from benchmark.records.record import Record
from benchmark.records.sections import ErrorAtLevel
from benchmark.report import style
from benchmark.report.panels import ends, scale
from benchmark.report.saving import tell

HEIGHT = 1.9  # inches of a panel
COLUMNS = 3
KINDS = (("training", "training images"), ("held_out", "held-out images"))


def denoising_plot(records: Iterable[Record]) -> Figure | None:
    """Draw the loss of every training at each level of noise, in a panel each; None: no levels.

    Where the lines of training images and of held-out images part, the network remembers.
    """
    trained = [(r.id, r.trained.errors) for r in records if r.trained and r.trained.errors]
    if not trained:
        return None
    columns = min(COLUMNS, len(trained))
    rows = -(-len(trained) // columns)
    figure = Figure(figsize=(style.WIDTH, HEIGHT * rows + 0.8))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    values = [value for _, errors in trained for value in _values(errors)]
    for axes, (name, errors) in zip(panels.flat, trained, strict=False):
        for index, (key, label) in enumerate(KINDS):
            _line(axes, errors, key, label, index)
        axes.set_title(name)
        axes.tick_params(labelbottom=True, labelleft=True)
    kind = scale(panels.flat[0], "y", values)
    noise = [Value(value=error.noise) for _, errors in trained for error in errors]
    of_x = scale(panels.flat[0], "x", noise, (1,))
    for axes in panels.flat[len(trained) :]:
        axes.axis("off")
    figure.supylabel(f"mean of (ε̂ - ε)²\n({kind})")
    for axes in panels.flat[: len(trained)]:
        axes.set_xlabel(f"noise σ/α, {of_x}")
    handles, names = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def _values(errors: Iterable[ErrorAtLevel]) -> list[Value]:
    return [value for error in errors for value in (error.training, error.held_out)]


def _line(axes: Axes, errors: list[ErrorAtLevel], key: str, label: str, index: int) -> None:
    """Draw the errors of one kind of images, with their intervals."""
    x = [error.noise for error in errors]
    found: list[Value] = [getattr(error, key) for error in errors]
    look: dict[str, Any] = {"color": style.colour(index), "ls": style.line(index), "label": label}
    [line] = axes.plot(x, [value.value for value in found], lw=1.2, **look)
    told = [f"{n:.3g}: {value.value:.3g}" for n, value in zip(x, found, strict=True)]
    tell(line, "\n".join([label, *told]))
    low, high = zip(*map(ends, found), strict=True)
    axes.fill_between(x, low, high, color=style.colour(index), alpha=0.2, lw=0)
