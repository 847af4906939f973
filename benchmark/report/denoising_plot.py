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
from benchmark.report.panels import SHADE, End, ends, legend, name_ends, scale
from benchmark.report.saving import tell

HEIGHT = 1.9  # inches of a panel
COLUMNS = 2
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
    kind = scale(panels.flat[0], "y", values)
    noise = [Value(value=error.noise) for _, errors in trained for error in errors]
    of_x = scale(panels.flat[0], "x", noise, (1,))
    for axes, (name, errors) in zip(panels.flat, trained, strict=False):
        named = [_line(axes, errors, *of, index) for index, of in enumerate(KINDS)]
        name_ends(axes, named, HEIGHT - 0.6)
        axes.set_title(name)
        axes.tick_params(labelbottom=True, labelleft=True)
        axes.set_xlabel(f"noise σ/α, {of_x}")
    for axes in panels.flat[len(trained) :]:
        axes.axis("off")
    figure.supylabel(f"mean of (ε̂ - ε)²\n({kind})")
    legend(figure)
    return figure


def _values(errors: Iterable[ErrorAtLevel]) -> list[Value]:
    return [value for error in errors for value in (error.training, error.held_out)]


def _line(axes: Axes, errors: list[ErrorAtLevel], key: str, label: str, index: int) -> End:
    """Draw the errors of one kind of images, with their intervals; return the end of the line."""
    x = [error.noise for error in errors]
    found: list[Value] = [getattr(error, key) for error in errors]
    look: dict[str, Any] = {"color": style.colour(index), "ls": style.line(index)}
    [line] = axes.plot(x, [value.value for value in found], lw=1.2, **look)
    told = [f"{n:.3g}: {value.value:.3g}" for n, value in zip(x, found, strict=True)]
    tell(line, "\n".join([label, *told]))
    low, high = zip(*map(ends, found), strict=True)
    axes.fill_between(x, low, high, color=style.colour(index), alpha=0.2, lw=0, label=SHADE)
    mark = {"color": style.colour(index), "marker": "_", "mew": 1.4}
    return End(x[-1], found[-1].value, label, mark)
