from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmark.diffusion.losses import l_simple, loss_function
from benchmark.diffusion.schedules import linear


class Recorder(nn.Module):
    """Predicts zeros and remembers its input."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.x, self.t = x, t
        return torch.zeros_like(x)


def batch(*shape: int) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(*shape, generator=generator) * 2 - 1, generator


def test_l_simple_is_the_squared_error_of_the_noise() -> None:
    x_0, generator = batch(4, 3, 8, 8)
    eps = torch.randn(x_0.shape, generator=generator)
    t = torch.tensor([0, 10, 500, 999])
    assert l_simple(Recorder(), linear(), x_0, t, eps) == pytest.approx(float((eps**2).mean()))


def test_l_simple_noises_images_as_diffusers_does() -> None:
    from diffusers import DDPMScheduler

    x_0, generator = batch(4, 3, 8, 8)
    eps = torch.randn(x_0.shape, generator=generator)
    t = torch.tensor([0, 10, 500, 999])
    network = Recorder()
    l_simple(network, linear(), x_0, t, eps)
    assert torch.allclose(network.x, DDPMScheduler().add_noise(x_0, eps, t), atol=1e-5)
    assert torch.equal(network.t, t)


def test_loss_is_the_same_for_the_same_generator() -> None:
    loss = loss_function(linear())
    x_0, _ = batch(4, 3, 8, 8)
    first, again, other = (
        loss(Recorder(), x_0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_times_of_training_are_drawn_evenly() -> None:
    network = Recorder()
    x_0, generator = batch(20000, 1, 1, 1)
    loss_function(linear(T=10))(network, x_0, generator)
    counts = network.t.bincount(minlength=10)
    assert counts.shape == (10,)
    assert (counts - 2000).abs().max() < 5 * 2000**0.5
