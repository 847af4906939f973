"""Draw the error of each solver against its evaluations, as `orders.png` and `orders.svg`.

Usage: `uv run python tests/unit/plot_orders.py docs`. Solvers of the ODE get a mixture of two
Gaussians, for which the ODE leads from quantile to quantile. The others get Gaussian data, so that
the variance with which they must end is known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from analytic import (
    MEANS,
    PROCESSES,
    STD,
    VARIANCE,
    WEIGHTS,
    Model,
    at_start,
    flow,
    gaussian,
    mixture,
    moments,
    no_noise,
    quantiles,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from PIL import Image
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.timesteps import timesteps
from benchmark.report import style
from benchmark.report.saving import METADATA

COLOURS = 64  # of the PNG, which is a third as large then
STEPS = [25, 50, 100, 200, 400]


class Curve(NamedTuple):
    """A sampler's name, its theoretical order, and its options."""

    label: str
    order: int
    sampler: str
    options: Mapping[str, object] = {}


ONE_STEP = [
    Curve("DDIM (Euler)", 1, "ddim"),
    Curve("Heun", 2, "heun"),
    Curve("Midpoint", 2, "midpoint"),
    Curve("DPM-Solver++(2S)", 2, "dpm-solver++2s"),
]
SECOND = [
    Curve("DPM-Solver++(2M)", 2, "dpm-solver++"),
    Curve("iPNDM-4", 2, "ipndm"),
    Curve("PNDM", 2, "pndm"),
]
HIGHER = [
    Curve("DPM-Solver++(3M)", 3, "dpm-solver++3m"),
    Curve("DEIS-3", 3, "deis"),
    Curve("UniPC-2", 3, "unipc"),
    Curve("UniPC-3", 4, "unipc", {"solver_order": 3}),
    Curve("Runge–Kutta 4", 4, "rk4"),
]
STOCHASTIC = [
    Curve("Euler–Maruyama", 1, "euler-maruyama"),
    Curve("Reverse diffusion", 1, "predictor-corrector", {"corrections": 0}),
    Curve("Ancestral (DDPM)", 1, "ddpm"),
    Curve("Euler ancestral", 1, "euler-ancestral"),
    Curve("SDE-DPM-Solver++", 2, "sde-dpm-solver++"),
    Curve("Stochastic Heun", 2, "stochastic-heun", {"s_churn": 5.0, "s_noise": 1.0}),
]
DETERMINISTIC = [*ONE_STEP, *SECOND, *HIGHER]


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


def mixture_error(
    name: str, process: Process, steps: int, model: Model | None = None, **options: object
) -> float:
    """Return the largest distance of a sampler's end from where the mixture's quantiles end."""
    grid = timesteps(process, steps, "karras")
    exact = mixture(process, WEIGHTS, MEANS, STD)
    x_T, end = (quantiles(process, t, 9)[:, None] for t in grid[[0, -1]])
    x_0 = SAMPLERS.make(name, **options).sample(model or exact, process, x_T, grid, no_noise)
    return float((x_0 - exact(end, grid[-1]).x0).abs().max())


def variance_error(
    name: str, process: Process, steps: int, model: Model | None = None, **options: object
) -> float:
    """Return the largest relative error of the variance with which a sampler ends."""
    grid = timesteps(process, steps, "linspace")
    _, variance = moments(name, process, grid, steps, model, **options)
    return float((variance / VARIANCE - 1).abs().max())


def plot(folder: Path) -> list[Path]:
    """Write the plot into a folder; return the paths of the PNG and the SVG."""
    ve, sub_vp = PROCESSES["ve"], PROCESSES["sub-vp"]
    exact = mixture(ve, WEIGHTS, MEANS, STD)
    with style.applied(), matplotlib.rc_context({"text.parse_math": True}):
        figure = Figure(figsize=(style.WIDTH, 5), dpi=140)
        panels = figure.subplots(2, 2)
        for axes, title, curves in (
            (panels[0, 0], "One step at a time", ONE_STEP),
            (panels[0, 1], "Multistep, order 2", SECOND),
            (panels[1, 0], "Orders 3 and 4", HIGHER),
        ):
            draw(
                axes,
                title,
                [(curve, *measure(curve, mixture_error, ve, exact)) for curve in curves],
            )
            axes.set_ylabel("Largest error of $x_0$")
        gaussians = gaussian(sub_vp)
        draw(
            panels[1, 1],
            "With noise",
            [(curve, *measure(curve, variance_error, sub_vp, gaussians)) for curve in STOCHASTIC],
        )
        panels[1, 1].set_ylabel("Relative error of the variance")
        return save(figure, folder, "orders")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG of few colours and as SVG; return their paths."""
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi="figure", metadata=METADATA[path.suffix[1:]])
    with Image.open(paths[0]) as picture:
        few = picture.convert("RGB").quantize(COLOURS)
    few.save(paths[0], optimize=True)
    return paths


def draw(axes: Axes, title: str, lines: list[tuple[Curve, list[int], list[float]]]) -> None:
    """Draw curves and, dotted, the theoretical slope through the last point of each."""
    for i, (curve, calls, errors) in enumerate(lines):
        slope = [errors[-1] * (n / calls[-1]) ** -curve.order for n in calls]
        axes.loglog(calls, slope, color=style.MUTED, linestyle=":", zorder=1)
        axes.loglog(calls, errors, color=style.colour(i), marker=style.marker(i))
    end = max(calls[-1] for _, calls, _ in lines)
    places = apart([errors[-1] for _, _, errors in lines], axes.get_ylim())
    for i, ((curve, _, _), y) in enumerate(zip(lines, places, strict=True)):
        axes.annotate(
            f"{curve.label}, order {curve.order}",
            (end, y),
            xytext=(6, -3),
            textcoords="offset points",
            color=style.colour(i),
        )
    ticks = [25, 100, 400, 1600] if end > 1000 else [*STEPS, 800]
    axes.set(title=title, xlabel="Network evaluations")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())


def apart(values: list[float], limits: tuple[float, float]) -> list[float]:
    """Return where labels of values stand on a logarithmic axis, in their order, a line apart."""
    low, high = np.log(limits)
    line = 0.09 * (high - low)
    ranks = np.argsort(values)
    places = np.log(values)[ranks]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + line)
    found = np.empty(len(places))
    found[ranks] = np.exp(places)
    return found.tolist()


def measure(
    curve: Curve, error_of: Callable[..., float], process: Process, model: Model
) -> tuple[list[int], list[float]]:
    """Return evaluations, as counted, and errors of a sampler at each number of steps."""
    counters = [Counter(model) for _ in STEPS]
    errors = [
        error_of(curve.sampler, process, steps, counter, **curve.options)
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
