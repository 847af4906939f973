"""Sliced score matching against the Fisher divergence that it estimates."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from benchmark.diffusion.losses.base import Loss
from benchmark.diffusion.losses.denoising_score_matching import DenoisingScoreMatching
from benchmark.diffusion.losses.sliced_score_matching import SlicedScoreMatching
from benchmark.diffusion.objective import loss_at, objective
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.geometric import Geometric

# Gauss and Hermite's three points, exact for polynomials up to degree 5 of a standard normal: 0
# weighs four times as much as the others, so it stands there four times.
POINTS = [-(3**0.5), 0.0, 0.0, 0.0, 0.0, 3**0.5]
MEAN = torch.tensor([0.3, -0.2], dtype=torch.float64)
ROOT = torch.tensor([[0.5, 0.0], [-0.2, 0.3]], dtype=torch.float64)  # of the covariance
COVARIANCE = ROOT @ ROOT.T


class Linear(nn.Module):
    """The score A x + b, of any linear model; `eps` is told by the processes that want it."""

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.tensor([[-0.7, 0.4], [0.1, -1.3]], dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor([0.2, -0.5], dtype=torch.float64))
        self.sigma = sigma

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        score = x.flatten(1) @ self.A.T + self.b
        return (score if self.sigma is None else -self.sigma * score).reshape(x.shape)


class Whole(NamedTuple):
    """All points of a quadrature, each as often as it weighs: N×1×1×2 each."""

    x_0: Tensor
    eps: Tensor
    directions: Tensor


def whole() -> Whole:
    normal = torch.tensor(list(itertools.product(POINTS, repeat=2)), dtype=torch.float64)
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=2)), dtype=torch.float64)
    points = itertools.product(MEAN + normal @ ROOT.T, normal, signs)
    parts = zip(*points, strict=True)
    return Whole(*(torch.stack(part).reshape(-1, 1, 1, 2) for part in parts))


def gradients(loss: Loss, process: Process, t: int, given: Whole) -> list[Tensor]:
    sigma = float(process.sigma(t)) if process.prediction == "eps" else None
    network = Linear(sigma)
    times = torch.full((len(given.x_0),), t)
    x_0, eps, directions = given
    loss_at(loss, network, process, x_0, times, eps, None, directions).backward()
    assert network.A.grad is not None
    assert network.b.grad is not None
    return [network.A.grad, network.b.grad]


def fisher(process: Process, t: int, power: float) -> list[Tensor]:
    """Return the gradient of ½ λ E‖A x + b - ∇log q‖² where q is the noisy Gaussian, by hand."""
    network, alpha, sigma = Linear(), float(process.alpha(t)), float(process.sigma(t))
    mean = alpha * MEAN
    noisy = alpha**2 * COVARIANCE + sigma**2 * torch.eye(2, dtype=torch.float64)
    A, b = network.A.detach(), network.b.detach()
    # s - ∇log q = (A + C⁻¹) (x - m) + (A m + b)
    slope, offset = A + torch.linalg.inv(noisy), A @ mean + b
    return [
        sigma**power * (slope @ noisy + torch.outer(offset, mean)),
        sigma**power * offset,
    ]


@pytest.mark.parametrize("power", [2.0, 1.0])
@pytest.mark.parametrize("t", [0, 4, 9])
def test_gradients_of_both_losses_are_that_of_the_fisher_divergence(t: int, power: float) -> None:
    process, given = Geometric(sigma_min=0.1).process(), whole()
    exact = fisher(process, t, power)
    for kind in (SlicedScoreMatching, DenoisingScoreMatching):
        found = gradients(kind(anneal_power=power), process, t, given)
        for ours, theirs in zip(found, exact, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("t", [0, 4, 9])
def test_both_losses_have_the_same_expectation(t: int) -> None:
    process, (x_0, eps, directions) = Geometric(sigma_min=0.1).process(), whole()
    times = torch.full((len(x_0),), t)
    given = (Linear(), process, x_0, times, eps, None, directions)
    sliced = loss_at(SlicedScoreMatching(), *given)
    denoising = loss_at(DenoisingScoreMatching(), *given)
    assert float(sliced.detach()) == pytest.approx(float(denoising.detach()), rel=1e-10)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_the_gradient_is_right_on_chains_that_preserve_variance(kind: str) -> None:
    process, given = SCHEDULES.make(kind).process(), whole()
    found = gradients(SlicedScoreMatching(), process, 500, given)
    for ours, theirs in zip(found, fisher(process, 500, 2.0), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def curved(x: Tensor) -> Tensor:
    """A score with a Jacobian that depends on x."""
    return torch.stack([torch.sin(x[0] * x[1]) - x[0], x[0] ** 2 - 2 * x[1]])


def test_the_loss_is_what_an_independent_jacobian_says() -> None:
    process = Geometric().process()
    generator = torch.Generator().manual_seed(0)
    x_0, eps = (torch.randn(3, 1, 1, 2, generator=generator, dtype=torch.float64) for _ in "xe")
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    t = torch.tensor([0, 5, 9])

    def network(x: Tensor, t: Tensor) -> Tensor:
        flat = x.flatten(1)
        return torch.stack([curved(row) for row in flat]).reshape(x.shape)

    directions = signs.reshape(3, 1, 1, 2)
    with torch.no_grad():
        found = loss_at(SlicedScoreMatching(), network, process, x_0, t, eps, None, directions)
    expected = 0.0
    for i, time in enumerate(t.tolist()):
        sigma = float(process.sigma(time))
        x = (x_0[i] + sigma * eps[i]).flatten()
        jacobian = torch.func.jacrev(curved)(x)
        value = signs[i] @ jacobian @ signs[i] + curved(x).square().sum() / 2
        expected += (sigma**2 * float(value) + 1) / 3
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_the_loss_can_be_measured_without_gradients_and_is_the_same() -> None:
    process = Geometric().process()
    network, images = Linear(), torch.rand(4, 1, 1, 2, dtype=torch.float64)
    loss = objective(process, None, "sliced-score-matching")

    def drawn() -> Tensor:
        return loss(network, images, torch.Generator().manual_seed(1), slice(None))

    learnt = drawn()
    with torch.no_grad():
        measured = drawn()
    assert learnt.requires_grad
    assert not measured.requires_grad
    assert float(measured) == pytest.approx(float(learnt))


def test_parts_of_a_batch_add_up_to_its_loss() -> None:
    process = Geometric().process()
    network, images = Linear(), torch.rand(4, 1, 1, 2, dtype=torch.float64)
    loss = objective(process, None, "sliced-score-matching")
    whole, first, last = (
        float(loss(network, images, torch.Generator().manual_seed(1), rows))
        for rows in (slice(None), slice(0, 1), slice(1, 4))
    )
    assert 0.25 * first + 0.75 * last == pytest.approx(whole)


def test_a_network_with_attention_can_be_trained() -> None:
    from benchmark.models.networks.unet import UNet

    spec = UNet(channels=(8, 8), attention=(True, True), layers=1, groups=4)
    network = spec.build(8)
    loss = objective(Geometric().process(), "eps", "sliced-score-matching")
    images = torch.rand(2, 3, 8, 8)
    loss(network, images, torch.Generator().manual_seed(0), slice(None)).backward()
    last = [p.grad for p in network.parameters() if p.grad is not None]
    assert any(bool(grad.abs().max() > 0) for grad in last)
    assert all(bool(grad.isfinite().all()) for grad in last)
