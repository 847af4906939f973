from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmark.diffusion.denoiser import Denoiser, Estimate, estimate_from
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.processes.discrete_ve import DiscreteVE
from benchmark.diffusion.processes.sub_vp import SubVP
from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.processes.vp import VP
from benchmark.diffusion.schedules.linear import Linear

PROCESSES: list[Process] = [
    Linear().process(),
    DiscreteVE(np.geomspace(0.01, 1, 10)),
    VE(0.01, 50.0),
    VP(0.1, 20.0),
    SubVP(0.1, 20.0),
]
PREDICTIONS = ["eps", "x0", "v", "score", "velocity"]


class Constant(nn.Module):
    """Predicts the same whatever it sees, and remembers what that was."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        self.seen.append(condition)
        return self.output


def images(seed: int) -> Tensor:
    return torch.randn(
        2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


@given(
    prediction=st.sampled_from(PREDICTIONS),
    alpha=st.floats(0.01, 1),
    sigma=st.floats(0.01, 50),
)
def test_every_prediction_recovers_image_and_noise(
    prediction: str, alpha: float, sigma: float
) -> None:
    truth = Estimate(images(0), images(1), alpha, sigma)
    x_t = alpha * truth.x0 + sigma * truth.eps
    output = getattr(truth, prediction)
    found = estimate_from(prediction, output, x_t, alpha, sigma)  # type: ignore[arg-type]
    for name in PREDICTIONS:
        assert torch.allclose(getattr(found, name), getattr(truth, name), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("alpha", "sigma"), [(0.0, 1.0), (1.0, 0.0), (0.0, 50.0)])
def test_a_velocity_recovers_image_and_noise_where_one_of_them_is_not_in_x_t(
    alpha: float, sigma: float
) -> None:
    truth = Estimate(images(0), images(1), alpha, sigma)
    x_t = alpha * truth.x0 + sigma * truth.eps
    found = estimate_from("velocity", truth.velocity, x_t, alpha, sigma)
    assert torch.allclose(found.x0, truth.x0)
    assert torch.allclose(found.eps, truth.eps)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.family)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_denoiser_takes_alpha_and_sigma_from_the_process(process: Process, prediction: str) -> None:
    t = process.t_max if process.length else 0.6
    truth = Estimate(images(0), images(1), float(process.alpha(t)), float(process.sigma(t)))
    network = Constant(getattr(truth, prediction))
    x_t = truth.alpha * truth.x0 + truth.sigma * truth.eps
    found = Denoiser(network, process, prediction)(x_t, t)  # type: ignore[arg-type]
    assert torch.allclose(found.x0, truth.x0, atol=1e-7)
    assert torch.allclose(found.score, truth.score, atol=1e-7)


@pytest.mark.parametrize(
    ("process", "t", "condition"),
    [
        (PROCESSES[0], 999.0, 999.0),
        (PROCESSES[0], 12.5, 12.5),
        (PROCESSES[1], 9.0, 0),
        (PROCESSES[1], 0.0, 9),
        (PROCESSES[2], 1.0, 50.0),
        (PROCESSES[3], 0.5, 499.5),
        (PROCESSES[4], 1.0, 999.0),
    ],
)
def test_what_the_network_is_told_of_the_time(process: Process, t: float, condition: float) -> None:
    network = Constant(images(0))
    Denoiser(network, process)(images(1), t)
    assert network.seen[0].tolist() == pytest.approx([condition] * 2)
    assert network.seen[0].is_floating_point() == isinstance(condition, float)


@pytest.mark.parametrize("process", PROCESSES[:2], ids=lambda p: p.family)
def test_clip_confines_the_image_and_keeps_the_decomposition(process: Process) -> None:
    x_t = 3 * images(1)
    estimate = Denoiser(Constant(images(0)), process, clip=True)(x_t, 5.0)
    low, high = process.data_range
    assert low <= estimate.x0.min() <= estimate.x0.max() <= high
    assert estimate.x0.max() == high  # it was needed
    assert torch.allclose(estimate.alpha * estimate.x0 + estimate.sigma * estimate.eps, x_t)


def test_evaluations_are_counted_where_the_network_is_called() -> None:
    network = Constant(images(0))
    denoiser = Denoiser(network, PROCESSES[0])
    for _ in range(3):
        denoiser(images(1), 1.0)
    assert denoiser.evaluations == len(images(1)) * len(network.seen) == 3 * len(images(1))
