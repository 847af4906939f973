from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.processes import Array, DiscreteVP, Process
from benchmark.diffusion.samplers import SAMPLERS, plan
from benchmark.diffusion.schedules import cosine, linear
from benchmark.errors import BenchmarkError

SHAPE = (2, 3, 8, 8)


class Wave(nn.Module):
    """Predicts ε of standard normal data, with waves on it.

    Like a trained network, and unlike an arbitrary function, it does not amplify small differences.
    """

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process = process

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self.process.alpha(t.numpy()), self.process.sigma(t.numpy())
        alpha, sigma = (torch.tensor(c)[:, None, None, None] for c in (alpha, sigma))
        return sigma * x + 0.3 * alpha * (2 * x).sin()


def noise_from(seed: int, shape: tuple[int, ...] = SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator, dtype=torch.float64)


def trajectory(name: str, process, timesteps: Array, clip: bool, **options) -> list[Tensor]:
    """Return all states of a sampler, from x_T to x_0."""
    x_T = noise_from(0)()
    states: list[Tensor] = []
    model = Denoiser(Wave(process), process, clip=clip)
    x_0 = SAMPLERS.get(name)(
        model,
        process,
        x_T,
        timesteps,
        noise_from(1),
        lambda i, t, x, x0: states.append(x),
        **options,
    )
    return [*states, x_0]


def with_table_of(process: DiscreteVP, scheduler):
    """Give diffusers' scheduler our ᾱ in double precision: its own are off by up to 1e-4.

    That both are of the same schedule is tested in test_schedules.
    """
    scheduler.alphas_cumprod = torch.tensor(process.alpha_bar)
    return scheduler


def largest_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    assert len(ours) == len(theirs)
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("process", [linear(), cosine()], ids=["linear", "cosine"])
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_ddpm_matches_diffusers_at_every_step(
    process: DiscreteVP, variance: str, clip: bool, steps: int
) -> None:
    from diffusers import DDPMScheduler

    theirs = with_table_of(process, DDPMScheduler(variance_type=variance, clip_sample=clip))
    theirs.set_timesteps(steps)
    generator = torch.Generator().manual_seed(1)
    states = [noise_from(0)()]
    for t in theirs.timesteps:
        output = Wave(process)(states[-1], t.expand(2))
        states.append(theirs.step(output, t, states[-1], generator).prev_sample)

    grid = plan(process, SAMPLERS.options("ddpm")(), steps)
    ours = trajectory("ddpm", process, grid, clip, variance=variance)
    assert largest_difference(ours, states) <= 1e-5


@pytest.mark.parametrize("process", [linear(), cosine()], ids=["linear", "cosine"])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_ddim_matches_diffusers_at_every_step(
    process: DiscreteVP, eta: float, clip: bool, steps: int
) -> None:
    from diffusers import DDIMScheduler

    theirs = with_table_of(process, DDIMScheduler(clip_sample=clip))
    theirs.set_timesteps(steps)
    generator = torch.Generator().manual_seed(1)
    states = [noise_from(0)()]
    for t in theirs.timesteps:
        output = Wave(process)(states[-1], t.expand(2))
        step = theirs.step(
            output, t, states[-1], eta, use_clipped_model_output=clip, generator=generator
        )
        states.append(step.prev_sample)

    grid = plan(process, SAMPLERS.options("ddim")(), steps)
    ours = trajectory("ddim", process, grid, clip, eta=eta)
    assert largest_difference(ours, states) <= 1e-5


def test_ddpm_matches_diffusers_at_all_thousand_steps() -> None:
    test_ddpm_matches_diffusers_at_every_step(linear(), "fixed_small", clip=True, steps=1000)


def test_ddim_matches_diffusers_at_all_thousand_steps() -> None:
    test_ddim_matches_diffusers_at_every_step(linear(), 0.5, clip=True, steps=1000)


def test_is_an_undefined_pair_refused_in_one_line() -> None:
    process = linear()
    with pytest.raises(BenchmarkError, match="11 are more than the 10"):
        plan(linear(T=10), SAMPLERS.options("ddim")(), 11)
    with pytest.raises(BenchmarkError, match="repeat is not defined for a vp-discrete process"):
        plan(process, SAMPLERS.options("ddim")(spacing="repeat"), 10)


def test_are_sampler_options_read_from_a_config() -> None:
    options = SAMPLERS.options("ddim").model_validate({"kind": "ddim", "spacing": "trailing"})
    assert options.keywords() == {"eta": 0.0}
    assert plan(linear(), options, 2).tolist() == [999, 499]
