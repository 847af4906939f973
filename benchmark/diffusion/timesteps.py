"""Grids of times at which a sampler evaluates the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.processes.base import Array, Process, Spacing, ends_in_noise

KARRAS_RHO = 7  # Karras et al. 2022, section 3


def timesteps(
    process: Process, steps: int, spacing: Spacing | None = None, drop_last: bool = False
) -> Array:
    """Return descending times, of shape (steps,), all different but for those of `repeat`.

    After the last of them a sampler ends, mostly at the clean image. The names are
    those of diffusers' `timestep_spacing`, Lin et al. 2024, table 2. A single step is always taken
    at the last time of the process, whose noise the state x_T has.

    Args:
        process: the process that has the times.
        steps: number of times.
        spacing: `leading` ends at the first time, `trailing` begins at the last, `linspace` does
            both; `karras` is even in (σ/α)^(1/7); `repeat` takes every level steps/L times; None
            is the usual one of the process.
        drop_last: where a spacing ends at the first time (`leading`, `linspace`), space one time
            more and leave out the first, at which next to no noise is left to be removed. Where
            there is no time more, all times are taken.

    Raises:
        BenchmarkError: the process has no such spacing, or not so many times.
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
    if steps == 1 and spacing != "repeat":
        return np.array([process.t_max], dtype=np.float64)
    points = steps
    if drop_last and spacing in ("leading", "linspace"):
        points = steps + 1 if length is None else min(steps + 1, length)
    times = _SPACINGS[spacing](process, points)[:steps]
    return np.ascontiguousarray(times, dtype=np.float64)


def spacings_of(process: Process) -> tuple[Spacing, ...]:
    """Return the spacings that a process has: `karras` is not defined where σ/α is infinite."""
    if ends_in_noise(process):
        return tuple(spacing for spacing in process.spacings if spacing != "karras")
    return process.spacings


def _leading(process: Process, points: int) -> Array:
    """Song et al. 2021 (DDIM), appendix D.2: ⌊c i⌋, here with c = T/points for any of them."""
    T = int(process.t_max) + 1
    return np.floor_divide(np.arange(points)[::-1] * T, points).astype(np.float64)


def _trailing(process: Process, points: int) -> Array:
    if process.length is None:
        return process.spread(np.linspace(process.t_max, 0.0, points + 1)[:-1])
    T = process.t_max + 1
    # Rounding errors of `arange` add a time below 0 for some points, which `timesteps` cuts off.
    return np.round(np.arange(T, 0, -T / points)) - 1


def _linspace(process: Process, points: int) -> Array:
    even = np.linspace(process.t_min, process.t_max, points)[::-1]
    return even.round() if process.length else process.spread(even)


def _karras(process: Process, points: int) -> Array:
    """Karras et al. 2022, equation 5."""
    if "karras" not in spacings_of(process):
        others = " or ".join(spacings_of(process))
        raise BenchmarkError(
            "spacing: karras is even in a power of σ/α, which is infinite at the last time of this "
            f"schedule: choose {others}"
        )
    ends = np.array([process.t_max, process.t_min])
    first, last = (process.sigma(ends) / process.alpha(ends)) ** (1 / KARRAS_RHO)
    times = process.time_of(np.linspace(first, last, points) ** KARRAS_RHO)
    times[[0, -1]] = ends  # which rounding errors would miss
    return times


def _repeat(process: Process, points: int) -> Array:
    count = int(process.t_max) + 1
    if points % count:
        raise BenchmarkError(
            f"steps: {points} cannot be shared evenly by {count} noise levels: "
            f"choose {max(1, round(points / count)) * count}"
        )
    return np.repeat(np.arange(count)[::-1], points // count).astype(np.float64)


_SPACINGS: dict[Spacing, Callable[[Process, int], Array]] = {
    "leading": _leading,
    "trailing": _trailing,
    "linspace": _linspace,
    "karras": _karras,
    "repeat": _repeat,
}
