"""Step for step equality with diffusers, on the same noise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.processes.discrete_vp import DiscreteVP
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.cosine import Cosine
from benchmark.diffusion.schedules.linear import Linear
from benchmark.models.diffusers_config import schedule_and_prediction
from benchmark.models.schedulers import read_scheduler

SHAPE = (2, 3, 8, 8)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


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


def noise_from(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def trajectory(name: str, process, timesteps: Array, clip: bool, **options) -> list[Tensor]:
    """Return all states of a sampler, from x_T to x_0."""
    x_T = noise_from(0)()
    states: list[Tensor] = []
    model = Denoiser(Wave(process), process, clip=clip)
    x_0 = SAMPLERS.make(name, **options).sample(
        model, process, x_T, timesteps, noise_from(1), lambda i, t, x, x0: states.append(x)
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


@pytest.mark.parametrize(
    "process", [Linear().process(), Cosine().process()], ids=["linear", "cosine"]
)
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [2, 7, 50])
def test_ddpm_matches_diffusers_at_every_step(
    process: DiscreteVP, variance: str, clip: bool, steps: int
) -> None:
    from diffusers import DDPMScheduler

    theirs = with_table_of(process, DDPMScheduler(variance_type=variance, clip_sample=clip))
    grid = SAMPLERS.make("ddpm").plan(process, steps)
    theirs.set_timesteps(timesteps=grid.astype(int).tolist())
    generator = torch.Generator().manual_seed(1)
    states = [noise_from(0)()]
    for t in theirs.timesteps:
        output = Wave(process)(states[-1], t.expand(2))
        states.append(theirs.step(output, t, states[-1], generator).prev_sample)

    ours = trajectory("ddpm", process, grid, clip, variance=variance)
    assert largest_difference(ours, states) <= 1e-5


@pytest.mark.parametrize(
    "process", [Linear().process(), Cosine().process()], ids=["linear", "cosine"]
)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [2, 8, 50])
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

    grid = SAMPLERS.make("ddim").plan(process, steps)
    ours = trajectory("ddim", process, grid, clip, eta=eta)
    assert largest_difference(ours, states) <= 1e-5


def test_ddpm_matches_diffusers_at_all_thousand_steps() -> None:
    test_ddpm_matches_diffusers_at_every_step(
        Linear().process(), "fixed_small", clip=True, steps=1000
    )


def test_ddim_matches_diffusers_at_all_thousand_steps() -> None:
    test_ddim_matches_diffusers_at_every_step(Linear().process(), 0.5, clip=True, steps=1000)


# Whatever the times, diffusers' DDIM goes back by T // steps: to the next of "trailing" only where
# steps divides T, and past the next of "linspace".
@pytest.mark.parametrize(
    "process", [Linear().process(), Cosine().process()], ids=["linear", "cosine"]
)
@pytest.mark.parametrize("name", ["ddpm", "ddim"])
@pytest.mark.parametrize("steps", [10, 50])
def test_ancestral_sampling_and_ddim_match_diffusers_from_the_last_time(
    process: DiscreteVP, name: str, steps: int
) -> None:
    import diffusers

    kinds = {"ddpm": diffusers.DDPMScheduler, "ddim": diffusers.DDIMScheduler}
    theirs = kinds[name](clip_sample=False, timestep_spacing="trailing")
    theirs = with_table_of(process, theirs)
    theirs.set_timesteps(steps)
    eta = {"eta": 0.7} if name == "ddim" else {}
    generator = torch.Generator().manual_seed(1)
    states = [noise_from(0)()]
    for t in theirs.timesteps:
        output = Wave(process)(states[-1], t.expand(2))
        step = theirs.step(output, t, states[-1], generator=generator, **eta)
        states.append(step.prev_sample)

    grid = SAMPLERS.make(name, spacing="trailing").plan(process, steps)
    assert grid[0] == 999
    ours = trajectory(name, process, grid, clip=False, **eta)
    assert largest_difference(ours, states) <= 1e-5


@pytest.fixture
def double() -> Iterator[None]:
    """Have diffusers keep its levels, up to 1348, and its step sizes in double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# The files of published NCSN++ networks differ in these.
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("sigma_max", "snr"), [(348.0, 0.075), (1348.0, 0.15)])
@pytest.mark.parametrize(("steps", "corrections"), [(2, 1), (50, 2), (2000, 1)])
def test_predictor_corrector_matches_diffusers_at_every_step(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    sigma_max: float,
    snr: float,
    steps: int,
    corrections: int,
) -> None:
    """For one image, as diffusers averages norms over the batch."""
    from diffusers import ScoreSdeVeScheduler
    from diffusers.schedulers import scheduling_sde_ve

    theirs = ScoreSdeVeScheduler(steps, snr, sigma_max=sigma_max)
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "scheduler_config.json"
    schedule, prediction = schedule_and_prediction(
        read_scheduler(json.loads(path.read_text()), path)
    )
    process = schedule.process()

    noise = noise_from(1)
    monkeypatch.setattr(scheduling_sde_ve, "randn_tensor", lambda *_, **__: noise()[:1])
    x = process.prior(noise_from(0)()[:1])
    states = []
    for t, sigma in zip(theirs.timesteps, theirs.sigmas, strict=True):
        for _ in range(corrections):
            x = theirs.step_correct(score_of_wave(x, sigma), x).prev_sample
        states.append(x)
        step = theirs.step_pred(score_of_wave(x, sigma), t, x)
        x = step.prev_sample
    states.append(step.prev_sample_mean)

    ours: list[Tensor] = []
    again = noise_from(1)
    sampler = SAMPLERS.make("predictor-corrector", snr=snr, corrections=corrections)
    x_0 = sampler.sample(
        Denoiser(ScoreOfWave(), process, prediction),
        process,
        process.prior(noise_from(0)()[:1]),
        sampler.plan(process, steps),
        lambda: again()[:1],
        lambda i, t, x, x0: ours.append(x),
    )
    assert largest_difference([*ours, x_0], states) <= 1e-5


class ScoreOfWave(nn.Module):
    """Predicts the score of standard normal data under VE noise, with waves on it."""

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return score_of_wave(x, sigma[0])


def score_of_wave(x: Tensor, sigma: Tensor) -> Tensor:
    return -(x + 0.3 * (2 * x).sin()) / (1 + sigma.double() ** 2)


@pytest.mark.parametrize(
    "process", [Linear().process(), Cosine().process()], ids=["linear", "cosine"]
)
@pytest.mark.parametrize("skip_prk_steps", [False, True])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [4, 5, 10, 50])
def test_pndm_matches_diffusers(
    process: DiscreteVP, skip_prk_steps: bool, clip: bool, steps: int
) -> None:
    """With an even number of times between two of the grid, as diffusers knows whole ones alone."""
    from diffusers import PNDMScheduler

    theirs = with_table_of(
        process, PNDMScheduler(skip_prk_steps=skip_prk_steps, set_alpha_to_one=True)
    )
    theirs.set_timesteps(steps)
    grid = SAMPLERS.make("pndm").plan(process, steps)
    model = Denoiser(Wave(process), process, clip=clip)
    x = noise_from(0)()
    for t in theirs.timesteps.tolist():
        x = theirs.step(model(x, t).eps, t, x).prev_sample
    assert model.evaluations == 2 * (steps + (1 if skip_prk_steps else 9))
    x_0 = trajectory("pndm", process, grid, clip, skip_prk_steps=skip_prk_steps)[-1]
    assert float((x_0 - x).abs().max()) <= 1e-5


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("spacing", "steps"), [("linspace", 4), ("linspace", 28), ("leading", 10), ("trailing", 28)]
)
def test_euler_ancestral_matches_diffusers_at_every_step(
    monkeypatch: pytest.MonkeyPatch, spacing: str, steps: int
) -> None:
    """In numbers of steps for which diffusers takes whole times, which go back to the next."""
    from diffusers import EulerAncestralDiscreteScheduler
    from diffusers.schedulers import scheduling_euler_ancestral_discrete as module

    process = Linear().process()
    grid = SAMPLERS.make("euler-ancestral", spacing=spacing).plan(process, steps)
    theirs = with_table_of(process, EulerAncestralDiscreteScheduler(timestep_spacing=spacing))
    theirs.set_timesteps(steps)
    assert theirs.timesteps.tolist() == grid.tolist()
    alpha, sigma = process.alpha(grid), process.sigma(grid)
    theirs.sigmas = torch.tensor([*(sigma / alpha), 0.0])  # in double precision
    noise = noise_from(1)
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: noise())
    x = noise_from(0)() / alpha[0]  # theirs is x/α
    states = []
    for t, scale in zip(theirs.timesteps, alpha, strict=True):
        states.append(x * scale)
        output = Wave(process)(theirs.scale_model_input(x, t), t.expand(2))
        x = theirs.step(output, t, x).prev_sample
    ours = trajectory("euler-ancestral", process, grid, clip=False)
    assert largest_difference(ours, [*states, x]) <= 1e-5


@pytest.mark.parametrize("s_churn", [0.0, 3.0, 40.0])
def test_stochastic_heun_matches_diffusers_at_every_step(
    monkeypatch: pytest.MonkeyPatch, s_churn: float
) -> None:
    from diffusers.schedulers.deprecated import scheduling_karras_ve as module

    process, steps = SCHEDULES.make("ve").process(), 18
    options = {"s_churn": s_churn, "s_min": 0.3, "s_max": 20.0, "s_noise": 1.007}
    sampler = SAMPLERS.make("stochastic-heun", **options)
    grid = sampler.plan(process, steps)
    theirs = module.KarrasVeScheduler(**options)
    theirs.num_inference_steps = steps
    noise, again = noise_from(1), noise_from(1)
    sigmas = [*process.sigma(grid).tolist(), 0.0]

    def drawn(*_: object, **__: object) -> Tensor:
        return noise() if options["s_min"] <= sigma <= options["s_max"] and s_churn else x * 0

    monkeypatch.setattr(module, "randn_tensor", drawn)

    def network(x: Tensor, sigma: float) -> Tensor:  # predicts (x̂_0 - x)/σ
        return sigma * score_of_wave(x, torch.tensor(sigma))

    x = process.prior(noise_from(0)())
    states = []
    for sigma, after in pairwise(sigmas):
        states.append(x)
        x_hat, sigma_hat = theirs.add_noise_to_input(x, sigma)
        step = theirs.step(network(x_hat, sigma_hat), sigma_hat, after, x_hat)
        x = step.prev_sample
        if after:
            x = theirs.step_correct(
                network(x, after), sigma_hat, after, x_hat, x, step.derivative
            ).prev_sample

    ours: list[Tensor] = []
    x_0 = sampler.sample(
        Denoiser(ScoreOfWave(), process, "score"),
        process,
        process.prior(noise_from(0)()),
        grid,
        again,
        lambda i, t, x, x0: ours.append(x),
    )
    assert largest_difference([*ours, x_0], [*states, x]) <= 1e-5
