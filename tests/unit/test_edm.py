"""EDM: its preconditioning, loss, noise levels and algorithm 1, held to the paper and diffusers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.losses.edm import EDMLoss
from benchmark.diffusion.objective import loss_at, objective
from benchmark.diffusion.processes.edm import EDM
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.timesteps import timesteps

PROCESS = EDM()
LEVELS = [0.002, 0.1, 1.0, 7.5, 80.0]


class Network(nn.Module):
    """A stand-in for F_θ, which uses both of its inputs."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return (2 * x).sin() + 0.1 * condition.to(x)[:, None, None, None]


def denoised(x: Tensor, sigma: float | Tensor) -> Tensor:
    """Return the denoised image of the paper's equation 7 and table 1, last column."""
    sigma, data = torch.as_tensor(sigma, dtype=x.dtype), 0.5
    c_skip = data**2 / (sigma**2 + data**2)
    c_out = sigma * data / (data**2 + sigma**2).sqrt()
    c_in = 1 / (sigma**2 + data**2).sqrt()
    c_noise = (sigma.log() / 4).flatten().expand(len(x))
    return c_skip * x + c_out * Network()(c_in * x, c_noise)


def images(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 4, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("sigma", LEVELS)
def test_the_denoiser_is_that_of_the_paper(sigma: float) -> None:
    x = sigma * images(2)
    found = Denoiser(Network(), PROCESS)(x, sigma).x0
    # conditions are single precision
    torch.testing.assert_close(found, denoised(x, sigma), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sigma", LEVELS)
def test_the_preconditioning_is_that_of_diffusers(sigma: float) -> None:
    from diffusers import EDMEulerScheduler

    theirs, x = EDMEulerScheduler(sigma_data=0.5), sigma * images(2)
    inner = theirs.precondition_inputs(x, sigma)
    told = theirs.precondition_noise(torch.tensor(sigma, dtype=torch.float64))
    output = Network()(inner, told.expand(2))
    found = Denoiser(Network(), PROCESS)(x, sigma).x0
    torch.testing.assert_close(
        found, theirs.precondition_outputs(x, output, sigma), rtol=1e-5, atol=1e-5
    )


def test_the_loss_is_equation_2_with_the_weight_of_table_1() -> None:
    x_0, eps = images(5).clamp(-1, 1), images(5, 1)
    sigma = torch.tensor(LEVELS, dtype=torch.float64)
    loss = loss_at(EDMLoss(), Network(), PROCESS, x_0, sigma, eps)
    s = sigma[:, None, None, None]
    weight = (s**2 + 0.25) / (s * 0.5) ** 2
    expected = (weight * (denoised(x_0 + s * eps, s) - x_0) ** 2).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_the_logarithm_of_its_noise_is_normal() -> None:
    seen: list[Tensor] = []

    class Recorder(nn.Module):
        def forward(self, x: Tensor, condition: Tensor) -> Tensor:
            seen.append(4 * condition)
            return x

    objective(PROCESS)(Recorder(), torch.zeros(20_000, 1, 1, 1), torch.Generator().manual_seed(0))
    assert float(seen[0].mean()) == pytest.approx(-1.2, abs=0.03)
    assert float(seen[0].std()) == pytest.approx(1.2, abs=0.03)


@pytest.mark.parametrize("steps", [2, 5, 18])
def test_its_times_are_equation_5(steps: int) -> None:
    i = np.arange(steps)
    powers = 80 ** (1 / 7) + i / (steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))
    np.testing.assert_allclose(timesteps(PROCESS, steps), powers**7, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_heun_on_it_is_algorithm_1_step_for_step(steps: int) -> None:
    sampler = SAMPLERS.make("heun")
    grid = sampler.plan(PROCESS, steps)
    t = np.append(grid, 0.0)
    x = x_T = PROCESS.prior(images(2))
    states = []
    for i in range(steps):
        states.append(x)
        d = (x - denoised(x, t[i])) / t[i]  # line 4
        after = x + (t[i + 1] - t[i]) * d  # line 5
        if t[i + 1] != 0:
            d_after = (after - denoised(after, t[i + 1])) / t[i + 1]  # line 7
            after = x + (t[i + 1] - t[i]) * (d / 2 + d_after / 2)  # line 8
        x = after
    seen: list[Tensor] = []
    found = sampler.sample(
        Denoiser(Network(), PROCESS),
        PROCESS,
        x_T,
        grid,
        lambda: x_T,
        lambda i, t, x_t, x0: seen.append(x_t),
    )
    for ours, theirs in zip([*seen, found], [*states, x], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
