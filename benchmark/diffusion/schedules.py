"""Noise schedules: named data for the processes.

To add one, write a function of keyword-only options that returns a process, under
`@SCHEDULES.register(name)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from benchmark.core.errors import BenchmarkError
from benchmark.core.registry import Options, Registry
from benchmark.diffusion.processes import VE, VP, Array, DiscreteVE, DiscreteVP, Process, SubVP

# What an option must be beside others is checked by the functions below.
Times = Annotated[int, Field(le=1_000_000)]
Levels = Annotated[int, Field(le=10_000)]
Rate = Annotated[float, Field(le=1e4)]  # β of an SDE
Sigma = Annotated[float, Field(le=1e6)]

SCHEDULES: Registry[Callable[..., Process]] = Registry("schedule")


def make_process(schedule: Options) -> Process:
    """Return the process of a schedule as it stands in a config.

    Raises:
        BenchmarkError: options of which no process can be made.
    """
    return SCHEDULES.get(schedule.kind)(**schedule.keywords())


@SCHEDULES.register("linear")
def linear(*, T: Times = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> DiscreteVP:
    """Return β rising linearly, Ho et al. 2020, section 4."""
    _check_betas(T, beta_start, beta_end)
    return _from_betas(np.linspace(beta_start, beta_end, T))


@SCHEDULES.register("scaled-linear")
def scaled_linear(
    *, T: Times = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
) -> DiscreteVP:
    """Return √β rising linearly, as in latent diffusion (Rombach et al. 2022, code)."""
    _check_betas(T, beta_start, beta_end)
    return _from_betas(np.linspace(beta_start**0.5, beta_end**0.5, T) ** 2)


@SCHEDULES.register("sigmoid")
def sigmoid(*, T: Times = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> DiscreteVP:
    """Return β rising as a logistic function from -6 to 6, as in GeoDiff (Xu et al. 2022, code)."""
    _check_betas(T, beta_start, beta_end)
    rise = 1 / (1 + np.exp(-np.linspace(-6, 6, T)))
    return _from_betas(beta_start + (beta_end - beta_start) * rise)


@SCHEDULES.register("cosine")
def cosine(
    *, T: Times = 1000, s: Annotated[float, Field(le=1)] = 0.008, beta_max: float = 0.999
) -> DiscreteVP:
    """Return ᾱ falling as a squared cosine, Nichol and Dhariwal 2021, equation 17."""
    if T < 1 or s < 0 or not 0 < beta_max < 1:
        raise BenchmarkError(
            f"schedule: T = {T}, s = {s} and beta_max = {beta_max} make no cosine schedule: "
            "T ≥ 1, s ≥ 0 and 0 < beta_max < 1 would"
        )
    alpha_bar = np.cos((np.linspace(0, 1, T + 1) + s) / (1 + s) * np.pi / 2) ** 2
    return _from_betas(np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], beta_max))


@SCHEDULES.register("geometric")
def geometric(
    *, levels: Levels = 10, sigma_min: Sigma = 0.01, sigma_max: Sigma = 1.0
) -> DiscreteVE:
    """Return levels of a constant ratio, by default those of Song and Ermon 2019, section 5."""
    _check_sigmas(sigma_min, sigma_max)
    if levels < 2:
        raise BenchmarkError(f"schedule: levels = {levels} make no schedule: levels ≥ 2 would")
    return DiscreteVE(np.geomspace(sigma_min, sigma_max, levels))


@SCHEDULES.register("ve")
def ve(*, sigma_min: Sigma = 0.01, sigma_max: Sigma = 50.0, t_end: float = 1e-5) -> VE:
    """Return the VE SDE, Song et al. 2021, appendix C, by default as their code has it."""
    _check_sigmas(sigma_min, sigma_max)
    _check_end(t_end)
    return VE(sigma_min, sigma_max, t_end)


@SCHEDULES.register("vp")
def vp(*, beta_min: Rate = 0.1, beta_max: Rate = 20.0, t_end: float = 1e-3) -> VP:
    """Return the VP SDE, by default as for sampling in Song et al. 2021, appendix C."""
    _check_betas_of_sde(beta_min, beta_max)
    _check_end(t_end)
    return VP(beta_min, beta_max, t_end)


@SCHEDULES.register("sub-vp")
def sub_vp(*, beta_min: Rate = 0.1, beta_max: Rate = 20.0, t_end: float = 1e-3) -> SubVP:
    """Return the sub-VP SDE, by default as for sampling in Song et al. 2021, appendix C."""
    _check_betas_of_sde(beta_min, beta_max)
    _check_end(t_end)
    return SubVP(beta_min, beta_max, t_end)


def _from_betas(beta: Array) -> DiscreteVP:
    return DiscreteVP(np.cumprod(1 - beta))


def _check_betas(T: int, beta_start: float, beta_end: float) -> None:
    if T < 1 or not 0 < beta_start <= beta_end < 1:
        raise BenchmarkError(
            f"schedule: T = {T}, beta_start = {beta_start} and beta_end = {beta_end} make no "
            "schedule: T ≥ 1 and 0 < beta_start ≤ beta_end < 1 would"
        )


def _check_sigmas(sigma_min: float, sigma_max: float) -> None:
    if not 0 < sigma_min < sigma_max:
        raise BenchmarkError(
            f"schedule: sigma_min = {sigma_min} and sigma_max = {sigma_max} make no schedule: "
            "0 < sigma_min < sigma_max would"
        )


def _check_betas_of_sde(beta_min: float, beta_max: float) -> None:
    if not 0 < beta_min <= beta_max:
        raise BenchmarkError(
            f"schedule: beta_min = {beta_min} and beta_max = {beta_max} make no schedule: "
            "0 < beta_min ≤ beta_max would"
        )


def _check_end(t_end: float) -> None:
    if not 0 < t_end < 1:
        raise BenchmarkError(f"schedule: t_end = {t_end} makes no schedule: 0 < t_end < 1 would")
