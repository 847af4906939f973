"""Grids of times at which a sampler evaluates the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.diffusion.processes import Array, Process, Spacing
from benchmark.errors import BenchmarkError

KARRAS_RHO = 7  # Karras et al. 2022, section 3


def timesteps(process: Process, steps: int, spacing: Spacing | None = None) -> Array:
    """Return `steps` descending times.

    The clean image, which every sampler ends with, comes after the last of them. The names are
    those of diffusers' `timestep_spacing`, Lin et al. 2024, table 2.

    Args:
        process: the process whose times they are.
        steps: how many.
        spacing: `leading` ends at the first time, `trailing` begins at the last, `linspace` does
            both; `karras` is even in (σ/α)^(1/7); `repeat` takes every level steps/L times; None
            is the usual one of the process.

    Raises:
        BenchmarkError: a spacing or a number of steps that the process has not.
    """
    spacing = spacing or process.spacings[0]
    if spacing not in process.spacings:
        raise BenchmarkError(
            f"spacing: {spacing} is not defined for a {process.family} process: "
            f"choose {' or '.join(process.spacings)}"
        )
    if steps < 1:
        raise BenchmarkError(f"steps: {steps} steps sample nothing: at least 1")
    length = process.length
    if length is not None and spacing != "repeat" and steps > length:
        raise BenchmarkError(f"steps: {steps} are more than the {length} times of the schedule")
    return np.ascontiguousarray(_SPACINGS[spacing](process, steps), dtype=np.float64)


def _leading(process: Process, steps: int) -> Array:
    ratio = (process.t_max + 1) // steps
    return np.arange(steps)[::-1] * ratio


def _trailing(process: Process, steps: int) -> Array:
    T = process.t_max + 1
    return np.round(np.arange(T, 0, -T / steps))[:steps] - 1


def _linspace(process: Process, steps: int) -> Array:
    if steps == 1:  # of the two ends, that whose noise x_T has
        return np.array([process.t_max])
    even = np.linspace(process.t_min, process.t_max, steps)[::-1]
    return even.round() if process.length else even


def _karras(process: Process, steps: int) -> Array:
    """Karras et al. 2022, equation 5."""
    ends = np.array([process.t_max, process.t_min])
    first, last = (process.sigma(ends) / process.alpha(ends)) ** (1 / KARRAS_RHO)
    return process.time_of(np.linspace(first, last, steps) ** KARRAS_RHO)


def _repeat(process: Process, steps: int) -> Array:
    count = int(process.t_max) + 1
    if steps % count:
        raise BenchmarkError(
            f"steps: {steps} cannot be shared evenly by {count} noise levels: "
            f"choose {max(1, round(steps / count)) * count}"
        )
    return np.repeat(np.arange(count)[::-1], steps // count).astype(np.float64)


_SPACINGS: dict[Spacing, Callable[[Process, int], Array]] = {
    "leading": _leading,
    "trailing": _trailing,
    "linspace": _linspace,
    "karras": _karras,
    "repeat": _repeat,
}
