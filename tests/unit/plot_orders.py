"""Draw the error of each solver against its network evaluations: `python plot_orders.py OUT.png`.

The data are Gaussian, for which the probability-flow ODE has a closed form.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from analytic import PROCESSES, VARIANCE, Model, at_start, flow, gaussian, moments
from matplotlib.figure import Figure
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate
from benchmark.diffusion.processes import Process
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.timesteps import timesteps

STEPS = [25, 50, 100, 200, 400]
SOLVERS = {"ddim": "DDIM", "heun": "Heun", "dpm-solver++": "DPM-Solver++(2M)", "unipc": "UniPC-2"}


def flow_error(name: str, process: Process, steps: int, model: Model | None = None) -> float:
    """Return the largest distance of a sampler's end from that of the exact flow."""
    grid = timesteps(process, steps, "karras")
    mean, std = at_start(process, grid[0])
    x_T = mean + std * torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    x_0 = SAMPLERS.get(name)(model or gaussian(process), process, x_T, grid, None)
    return float((x_0 - flow(process, x_T, grid)).abs().max())


def variance_error(name: str, process: Process, steps: int) -> float:
    """Return the largest relative error of the variance with which a sampler ends."""
    options = {"corrections": 0} if name == "predictor-corrector" else {}
    _, variance = moments(name, process, timesteps(process, steps, "linspace"), steps, **options)
    return float((variance / VARIANCE - 1).abs().max())


def plot(path: Path) -> None:
    """Write the plot for the VP SDE."""
    process = PROCESSES["vp"]
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for name, label in SOLVERS.items():
        errors, evaluations = [], []
        for steps in STEPS:
            counter = Counter(gaussian(process))
            errors.append(flow_error(name, process, steps, counter))
            evaluations.append(counter.calls)
        axes.loglog(evaluations, errors, marker="o", label=label)
    axes.set_xticks(STEPS, map(str, STEPS))
    axes.minorticks_off()
    axes.set(xlabel="Network evaluations", ylabel="Largest error of $x_0$")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


class Counter:
    """A model that counts its calls."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.calls = 0

    def __call__(self, x: Tensor, t: float) -> Estimate:
        self.calls += 1
        return self.model(x, t)


if __name__ == "__main__":
    plot(Path(sys.argv[1]))
