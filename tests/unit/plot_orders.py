"""Draw the error of each solver against its evaluations, as `orders.png` and `orders.svg`.

Usage: `uv run python tests/unit/plot_orders.py docs`. The data are Gaussian, so that the
probability-flow ODE has a closed form and so has the variance with which a sampler must end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from analytic import PROCESSES, VARIANCE, Model, at_start, flow, gaussian, moments, no_noise
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.timesteps import timesteps
from benchmark.report import style

STEPS = [25, 50, 100, 200, 400]


class Curve(NamedTuple):
    """A sampler's name, its theoretical order, and where its label stands."""

    label: str
    order: int
    at: int = -1  # which of its points
    shift: tuple[float, float] = (6, -3)  # to the right and up, in points


DETERMINISTIC = {
    "ddim": Curve("DDIM (Euler)", 1),
    "heun": Curve("Heun", 2, at=-2, shift=(5, 3)),
    "dpm-solver++": Curve("DPM-Solver++(2M)", 2, shift=(-2, -13)),
    "unipc": Curve("UniPC-2", 3),
}
STOCHASTIC = {
    "euler-maruyama": Curve("Euler–Maruyama", 1, shift=(6, -8)),
    "predictor-corrector": Curve("Reverse diffusion", 1, shift=(6, 3)),
    "ddpm": Curve("Ancestral (DDPM)", 1),
}


def flow_error(
    name: str, process: Process, steps: int, model: Model | None = None, **options: object
) -> float:
    """Return the largest distance of a sampler's end from that of the exact flow."""
    grid = timesteps(process, steps, "karras")
    mean, std = at_start(process, grid[0])
    x_T = mean + std * torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    sampler = SAMPLERS.make(name, **options)
    x_0 = sampler.sample(model or gaussian(process), process, x_T, grid, no_noise)
    return float((x_0 - flow(process, x_T, grid)).abs().max())


def variance_error(name: str, process: Process, steps: int, model: Model | None = None) -> float:
    """Return the largest relative error of the variance with which a sampler ends."""
    options = {"corrections": 0} if name == "predictor-corrector" else {}
    grid = timesteps(process, steps, "linspace")
    _, variance = moments(name, process, grid, steps, model, **options)
    return float((variance / VARIANCE - 1).abs().max())


def plot(folder: Path) -> list[Path]:
    """Write the plot for the sub-VP SDE into a folder; return the paths of the PNG and the SVG."""
    with style.applied():
        figure = Figure(figsize=(style.WIDTH, 3.1), dpi=140)
        left, right = figure.subplots(1, 2)
        draw(left, "Deterministic samplers", DETERMINISTIC, flow_error)
        draw(right, "Stochastic samplers", STOCHASTIC, variance_error)
        left.set_ylabel("Largest error of $x_0$")
        right.set(ylabel="Relative error of the variance", ylim=(2e-3, 1.2))
        paths = [folder / f"orders.{kind}" for kind in ("png", "svg")]
        for path in paths:
            figure.savefig(path, dpi="figure", metadata=style.METADATA[path.suffix[1:]])
    return paths


def draw(
    axes: Axes,
    title: str,
    curves: dict[str, Curve],
    error_of: Callable[[str, Process, int, Model], float],
) -> None:
    """Draw the curves and, dotted, the theoretical slope through the last point of each."""
    for i, (name, curve) in enumerate(curves.items()):
        calls, errors = measure(name, error_of)
        slope = [errors[-1] * (n / calls[-1]) ** -curve.order for n in calls]
        axes.loglog(calls, slope, color=style.MUTED, linestyle=":", zorder=1)
        axes.loglog(calls, errors, color=style.colour(i), marker=style.marker(i), label=curve.label)
        axes.annotate(
            f"{curve.label}, order {curve.order}",
            (calls[curve.at], errors[curve.at]),
            xytext=curve.shift,
            textcoords="offset points",
            color=style.colour(i),
        )
    axes.set(title=title, xlabel="Network evaluations")
    axes.set_xticks([*STEPS, 800], [*map(str, STEPS), "800"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())


def measure(
    name: str, error_of: Callable[[str, Process, int, Model], float]
) -> tuple[list[int], list[float]]:
    """Return evaluations, as counted, and errors of a sampler at each number of steps."""
    process = PROCESSES["sub-vp"]
    counters = [Counter(gaussian(process)) for _ in STEPS]
    errors = [
        error_of(name, process, steps, counter)
        for steps, counter in zip(STEPS, counters, strict=True)
    ]
    return [counter.calls for counter in counters], errors


class Counter:
    """A model that counts its calls."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.calls = 0

    def __call__(self, x: Tensor, t: float) -> Estimate:
        self.calls += 1
        return self.model(x, t)


if __name__ == "__main__":
    print(*plot(Path(sys.argv[1])), sep="\n")
