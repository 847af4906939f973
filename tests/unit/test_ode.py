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
    t_min = 0.01

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
    states = []  # y of the flow of one deviation from the mean
    for near in around:
        mean, std = at_start(process, near.t)
        states.append((mean + std) / near.scale)
    slope = ode.slope(exact(process)(states[1] * point.scale, point.t))
    assert torch.allclose(slope, (states[2] - states[0]) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize(("name", "expected"), [("heun", 2)])
def test_a_solver_begins_where_nothing_of_the_image_is_left(name: str, expected: int) -> None:
    process = Straight()
    x_T = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None].repeat(1, 3)
    steps, errors = [10, 20, 40, 80], []
    for n in steps:
        grid = np.linspace(1, process.t_min, n)
        x_0 = SAMPLERS.make(name).sample(exact(process), process, x_T, grid, no_noise)
        errors.append(float((x_0 - flow(process, x_T, grid)).abs().max()))
    assert order(steps, errors) == pytest.approx(expected, abs=0.2)


def test_the_slope_of_a_straight_path_is_its_velocity() -> None:
    """Also at its end, where an image cannot be had from noise."""
    velocity = torch.tensor([[0.3, -0.2]])
    estimate = estimate_from("velocity", velocity, torch.tensor([[0.7, -1.3]]), 0.0, 1.0)
    assert torch.allclose(ODE(Straight()).slope(estimate), velocity)
