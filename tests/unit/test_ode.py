"""The probability-flow ODE in other coordinates: its slope, its points, and its singular end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from analytic import MEAN, PROCESSES, VARIANCE, Model, at_start, flow, no_noise, order, scales
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate, estimate_from
from benchmark.diffusion.ode import ODE
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.samplers import SAMPLERS


@dataclass(frozen=True)
class Straight(Process):
    """x_t = (1 - t) x_0 + t ε, of which nothing of the image is left at t = 1."""

    family = "vp"  # so that samplers of continuous time take it
    spacings = ("linspace",)
    ode_mix = 1.0
    t_max = 1.0
    t_min = 1e-4

    def alpha(self, t: Any) -> Any:
        return 1 - t

    def sigma(self, t: Any) -> Any:
        return t * 1.0

    def time_of(self, level: Any) -> Array:
        return np.asarray(level / (1 + level))

    def chain(self, timesteps: Array) -> tuple[Array, Array]:
        raise NotImplementedError


def exact(process: Process) -> Model:
    """Return the exact model of the Gaussian data, which is finite where α is 0, too."""

    def model(x: Tensor, t: float) -> Estimate:
        alpha, sigma = scales(process, t)
        whitened = (x - alpha * MEAN) / (alpha**2 * VARIANCE + sigma**2)
        return Estimate(MEAN + alpha * VARIANCE * whitened, sigma * whitened, alpha, sigma, x)

    return model


@pytest.mark.parametrize("key", ["linear", "ve", "vp", "sub-vp"])
@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_slope_is_the_derivative_of_the_flow(
    key: str, mix: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = PROCESSES[key]
    monkeypatch.setattr(type(process), "ode_mix", mix)
    ode = ODE(process)
    [point] = ode.points(np.array([0.4 * process.t_max]))[:-1]
    step = 1e-5 * point.u
    around = ode.points_at(point.u + np.array([-step, 0.0, step]))
    assert around[1] == pytest.approx(point, rel=1e-12)
    states: list[Tensor] = []  # y of the flow of one deviation from the mean
    for near in around:
        mean, std = at_start(process, near.t)
        states.append((mean + std) / near.scale)
    slope = ode.slope(exact(process)(states[1] * point.scale, point.t))
    assert torch.allclose(slope, (states[2] - states[0]) / (2 * step), rtol=1e-6)


def error_on_straight_paths(name: str, steps: int, **options: object) -> float:
    """Return the largest distance of a sampler's end from that of the exact flow."""
    process = Straight()
    grid = np.linspace(1, process.t_min, steps)
    x_T = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None].repeat(1, 3)
    sampler = SAMPLERS.make(name, **options)
    x_0 = sampler.sample(exact(process), process, x_T, grid, no_noise)
    return float((x_0 - flow(process, x_T, grid)).abs().max())


# On Gaussian data the first term of the midpoint method's error is 0, see test_orders.
ORDERS = {"heun": 2, "midpoint": 3, "rk4": 4}


@pytest.mark.parametrize(("name", "expected"), ORDERS.items())
def test_a_solver_begins_where_nothing_of_the_image_is_left(name: str, expected: int) -> None:
    steps = [10, 20, 40, 80]
    errors = [error_on_straight_paths(name, n) for n in steps]
    assert order(steps[-2:], errors[-2:]) == pytest.approx(expected, abs=0.25)


@pytest.mark.parametrize("skip_prk_steps", [False, True])
def test_multistep_begins_where_nothing_of_the_image_is_left(skip_prk_steps: bool) -> None:
    assert error_on_straight_paths("pndm", 80, skip_prk_steps=skip_prk_steps) < 1e-4


@pytest.mark.parametrize("s_max", [50.0, 1e9])
def test_noise_is_added_on_the_way_from_nothing_but_noise(s_max: float) -> None:
    """With the exact model, from the exact distribution of t = 1 to that of the data."""
    process = Straight()
    draws, sampler = 100, SAMPLERS.make("stochastic-heun", s_max=s_max, s_noise=1.0)
    x_T = torch.zeros(draws + 2, 3, dtype=torch.float64)  # a row for each source of randomness
    x_T[1] = 1
    rows = iter(range(2, draws + 2))

    def noise() -> Tensor:
        z = torch.zeros_like(x_T)
        z[next(rows)] = 1
        return z

    grid = np.linspace(1, process.t_min, draws)
    x_0 = sampler.sample(exact(process), process, x_T, grid, noise)
    variance = (x_0[1:] - x_0[0]).square().sum(0)
    assert torch.allclose(x_0[0], MEAN, atol=5e-3)
    assert torch.allclose(variance, VARIANCE, rtol=0.02)


def test_the_slope_of_a_straight_path_is_its_velocity() -> None:
    """Also at its end, where an image cannot be had from noise."""
    velocity = torch.tensor([[0.3, -0.2]])
    estimate = estimate_from("velocity", velocity, torch.tensor([[0.7, -1.3]]), 0.0, 1.0)
    assert torch.allclose(ODE(Straight()).slope(estimate), velocity)
