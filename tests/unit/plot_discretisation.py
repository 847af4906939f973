"""Draw how the chains of DDPM and SMLD approach their SDEs, as `discretisation.png` and `.svg`.

Usage: `uv run python tests/unit/plot_discretisation.py docs`. Song et al. 2021, section 3: a chain
of T times is a discretisation of an SDE, and becomes it as T grows. Nothing is sampled: noising is
compared by its coefficients, and sampling, from Gaussian data and their exact score, by variance.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from plot_orders import Curve, draw, save, variance_error

from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.processes.vp import VP
from benchmark.diffusion.schedules.geometric import Geometric
from benchmark.diffusion.schedules.linear import Linear
from benchmark.report import style

LENGTHS = [50, 100, 200, 400, 800]
VE_SDE, VP_SDE = VE(0.01, 10.0), VP(0.1, 20.0)


def ddpm(length: int) -> Process:
    """Return the chain of DDPM whose β_i are β(t)/T of the VP SDE, appendix C of the paper."""
    ends = VP_SDE.beta(0.0) / length, VP_SDE.beta(1.0) / length
    return Linear(T=length, beta_start=ends[0], beta_end=ends[1]).process()


def smld(length: int) -> Process:
    """Return the chain of SMLD between the levels of the VE SDE."""
    ends = float(VE_SDE.sigma(0.0)), float(VE_SDE.sigma(1.0))
    return Geometric(levels=length, sigma_min=ends[0], sigma_max=ends[1]).process()


def noising_of_ddpm(length: int) -> float:
    """Return the largest difference of ᾱ and α² of the VP SDE over all times of the chain."""
    index = np.arange(length)
    t = (index + 1) / length
    return float(np.abs(ddpm(length).alpha(index) ** 2 - VP_SDE.alpha(t) ** 2).max())


def noising_of_smld(length: int) -> float:
    """Return the largest relative error of g² Δt for the variance that a step of the chain adds.

    At its times the chain has the variance of the VE SDE exactly.
    """
    variance = smld(length).sigma(np.arange(length)) ** 2
    t = np.linspace(0, 1, length)
    return float(np.abs(VE_SDE.diffusion(t[:-1]) ** 2 * np.diff(t) / np.diff(variance) - 1).max())


def sampling_of_ddpm(length: int) -> float:
    """Return the largest relative error of the variance with which ancestral sampling ends."""
    return variance_error("ddpm", ddpm(length), length)


def sampling_of_smld(length: int) -> float:
    """Return the same of the levels of SMLD, Song et al. 2021, equation 47."""
    return variance_error("ddpm", smld(length), length)


DDPM, SMLD = "DDPM, VP", "SMLD, VE"
PANELS = {
    "Noising": {DDPM: noising_of_ddpm, SMLD: noising_of_smld},
    "Ancestral sampling": {DDPM: sampling_of_ddpm, SMLD: sampling_of_smld},
}


def plot(folder: Path) -> list[Path]:
    """Write the plot into a folder; return the paths of the PNG and the SVG."""
    with style.applied(), matplotlib.rc_context({"text.parse_math": True}):
        figure = Figure(figsize=(style.WIDTH, 2.6), dpi=140)
        for axes, (title, curves) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
            lines = [
                (Curve(label, 1, ""), LENGTHS, [error_of(length) for length in LENGTHS])
                for label, error_of in curves.items()
            ]
            draw(axes, title, lines)
            ticks = LENGTHS[::2]
            axes.set_xticks(ticks, [str(length) for length in ticks])
            axes.set(xlabel="Times of the chain, $T$", ylabel="Distance from the SDE")
        return save(figure, folder, "discretisation")


if __name__ == "__main__":
    print(*plot(Path(sys.argv[1])), sep="\n")
