"""Networks that predict the variance of each step, Nichol and Dhariwal 2021, section 3.1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from checkout import SMOKE
from hypothesis import given
from hypothesis import strategies as st
from stages import do
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.denoiser import Denoiser, estimate_from
from benchmark.diffusion.losses.continuous import Continuous
from benchmark.diffusion.losses.simple import Simple
from benchmark.diffusion.objective import loss_at
from benchmark.diffusion.processes.discrete_vp import DiscreteVP
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules.linear import Linear
from benchmark.diffusion.schedules.vp import VPSchedule
from benchmark.diffusion.variational import bound, log_likelihood
from benchmark.models.modules.unet import UNetModule
from benchmark.models.networks.unet import UNet
from benchmark.storage.paths import Run

SHAPE = (2, 3, 4, 4)
LEARNED = {"variance": "learned_range"}


@pytest.fixture(scope="module")
def process() -> DiscreteVP:
    return Linear().process()


class Wave(nn.Module):
    """Predicts ε of standard normal data with waves on it, and variances with waves of their own.

    Args:
        process: whose σ gives ε.
        variance: of all pixels; None: waves.
        heads: 2: ε and the variance; 1: ε alone.
    """

    def __init__(self, process: DiscreteVP, variance: float | None = None, heads: int = 2) -> None:
        super().__init__()
        self.process, self.variance, self.heads = process, variance, heads

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self.process.alpha(t.numpy()), self.process.sigma(t.numpy())
        alpha, sigma = (torch.tensor(c)[:, None, None, None] for c in (alpha, sigma))
        eps = sigma * x + 0.3 * alpha * (2 * x).sin()
        constant = x.cos() if self.variance is None else torch.full_like(x, self.variance)
        return torch.cat([eps, constant], 1) if self.heads == 2 else eps


def noise_from(seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def sampled(
    network: nn.Module, process: DiscreteVP, name: str, steps: int = 8, clip: bool = False, **o: Any
) -> Tensor:
    sampler = SAMPLERS.make(name, **o)
    model, times = Denoiser(network, process, clip=clip), sampler.plan(process, steps)
    return sampler.sample(model, process, noise_from(0)(), times, noise_from(1))


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [2, 7, 50])
def test_samples_are_those_of_diffusers(process: DiscreteVP, clip: bool, steps: int) -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(variance_type="learned_range", clip_sample=clip)
    theirs.alphas_cumprod = torch.tensor(process.alpha_bar)  # theirs are in single precision
    grid = SAMPLERS.make("ddpm").plan(process, steps)
    theirs.set_timesteps(timesteps=grid.astype(int).tolist())
    x, generator = noise_from(0)(), torch.Generator().manual_seed(1)
    for t in theirs.timesteps:
        x = theirs.step(Wave(process)(x, t.expand(2)), t, x, generator).prev_sample
    found = sampled(Wave(process), process, "ddpm", steps, clip, **LEARNED)
    assert float((found - x).abs().max()) <= 1e-5


@pytest.mark.parametrize(("variance", "name"), [(-1.0, "fixed_small"), (1.0, "fixed_large")])
def test_the_ends_of_the_range_are_the_fixed_variances(
    process: DiscreteVP, variance: float, name: str
) -> None:
    found = sampled(Wave(process, variance), process, "ddpm", **LEARNED)
    expected = sampled(Wave(process, heads=1), process, "ddpm", variance=name)
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("name", [n for n in SAMPLERS.names() if SAMPLERS.get(n).families is None])
@pytest.mark.parametrize("clip", [False, True])
def test_other_samplers_take_the_first_channels(process: DiscreteVP, name: str, clip: bool) -> None:
    found = sampled(Wave(process), process, name, clip=clip)
    assert torch.equal(found, sampled(Wave(process, heads=1), process, name, clip=clip))


def restated(process: DiscreteVP, x_0: Tensor, x_t: Tensor, eps: Tensor, v: Tensor, t: int) -> Any:
    """L_{t-1} in nats, from β and ᾱ by the equations of the papers, for t > 0."""
    alpha_bar = torch.tensor(process.alpha_bar)
    now, before = alpha_bar[t], alpha_bar[t - 1]
    beta = 1 - now / before
    tilde = (1 - before) / (1 - now) * beta

    def mean(image: Tensor) -> Tensor:  # Ho et al. 2020, equation 7
        return (
            before.sqrt() * beta / (1 - now) * image
            + (1 - beta).sqrt() * (1 - before) / (1 - now) * x_t
        )

    believed = (x_t - (1 - now).sqrt() * eps) / now.sqrt()
    variance = (v * beta.log() + (1 - v) * tilde.log()).exp()  # equation 15
    return kl_divergence(Normal(mean(x_0), tilde.sqrt()), Normal(mean(believed), variance.sqrt()))


@pytest.mark.parametrize("t", [1, 2, 10, 500, 999])
def test_the_bound_is_that_of_the_papers(process: DiscreteVP, t: int) -> None:
    x_0, eps, v = noise_from(0)().tanh(), noise_from(1)(), noise_from(2)().sigmoid()
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    x_t = alpha * x_0 + sigma * noise_from(3)()
    estimate = estimate_from("eps", torch.cat([eps, 2 * v - 1], 1), x_t, alpha, sigma)
    found = bound(process, x_0, estimate, torch.tensor([t, t]))
    nats = restated(process, x_0, x_t, eps, v, t).flatten(1).mean(1)
    assert torch.allclose(found, nats / math.log(2), rtol=1e-6)


def test_the_first_time_pays_for_the_pixels(process: DiscreteVP) -> None:
    """By the variance of the next time, as that of the posterior is 0."""
    x_0 = (
        torch.randint(256, SHAPE, generator=torch.Generator().manual_seed(0)) / 127.5 - 1
    ).double()
    alpha, sigma = float(process.alpha(0)), float(process.sigma(0))
    output = torch.cat([noise_from(1)(), -torch.ones(SHAPE)], 1)
    estimate = estimate_from("eps", output, alpha * x_0, alpha, sigma)
    found = bound(process, x_0, estimate, torch.tensor([0, 0]))
    bar = process.alpha_bar
    std = math.sqrt((1 - bar[0]) / (1 - bar[1]) * (1 - bar[1] / bar[0]))
    told = log_likelihood(x_0, estimate.x0, torch.full_like(x_0, std)).flatten(1).mean(1)
    assert torch.allclose(found, -told / math.log(2))


@given(mean=st.floats(-1.2, 1.2), std=st.floats(0.01, 2))
def test_the_probabilities_of_all_grey_levels_add_up_to_one(mean: float, std: float) -> None:
    levels = torch.arange(256).double() / 127.5 - 1
    found = log_likelihood(levels, torch.tensor(mean), torch.tensor(std)).exp().sum()
    assert float(found) == pytest.approx(1, abs=1e-6)


def test_nothing_is_paid_for_the_true_image_with_the_variance_of_its_posterior(
    process: DiscreteVP,
) -> None:
    x_0 = noise_from(0)().tanh()
    estimate = estimate_from("x0", torch.cat([x_0, -torch.ones(SHAPE)], 1), x_0, 0.6, 0.8)
    found = bound(process, x_0, estimate, torch.tensor([3, 700]))
    assert torch.allclose(found, torch.zeros(2, dtype=torch.float64), atol=1e-12)


@given(t=st.integers(0, 999), prediction=st.sampled_from(["eps", "x0", "v"]))
def test_the_bound_does_not_teach_the_mean(t: int, prediction: Any) -> None:
    process = Linear().process()
    output = torch.cat([noise_from(1)(), noise_from(2)().tanh()], 1).requires_grad_()
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    estimate = estimate_from(prediction, output, noise_from(3)(), alpha, sigma)
    bound(process, noise_from(0)().tanh(), estimate, torch.tensor([t, t])).sum().backward()
    assert output.grad is not None
    of_mean, of_variance = output.grad.chunk(2, 1)
    assert (of_mean == 0).all()
    assert of_variance.isfinite().all()
    assert of_variance.abs().sum() > 0


def test_l_hybrid_is_l_simple_and_a_thousandth_of_the_bound(process: DiscreteVP) -> None:
    x_0, eps, t = noise_from(0)().tanh(), noise_from(1)(), torch.tensor([5, 600])
    found = loss_at(Simple(learned_variance=True), Wave(process), process, x_0, t, eps)
    simple = loss_at(Simple(), Wave(process, heads=1), process, x_0, t, eps)
    alpha, sigma = (
        torch.tensor(c(t.numpy()))[:, None, None, None] for c in (process.alpha, process.sigma)
    )
    x_t = alpha * x_0 + sigma * eps
    estimate = estimate_from("eps", Wave(process)(x_t, t), x_t, alpha, sigma)
    terms = bound(process, x_0, estimate, t)
    assert found.item() == pytest.approx((simple + 0.001 * 1000 * terms.mean()).item())


@pytest.mark.parametrize(
    ("loss", "schedule"), [(Simple(), Linear()), (Continuous(), VPSchedule())], ids=str
)
def test_channels_that_nothing_trains_are_refused(loss: Any, schedule: Any) -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return torch.cat([x, x], 1)

    x, t = noise_from(0)(), torch.tensor([1, 1])
    with pytest.raises(BenchmarkError, match=r"nothing of the loss .* trains the second half"):
        loss_at(loss, Two(), schedule.process(), x, t, x)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("gates", [False, True])
def test_a_unet_has_twice_the_channels(patch: int, gates: bool) -> None:
    options = {"channels": (8,), "attention": (False,), "groups": 4, "patch": patch}
    plain = UNetModule(UNet(**options, output_gates=gates))  # type: ignore[arg-type]
    both = UNetModule(UNet(**options, output_gates=gates, learned_variance=True))  # type: ignore[arg-type]
    nn.init.normal_(both.conv_out.weight)
    shared = both.state_dict()
    half = {n: w[: len(w) // 2] if "conv_out" in n else w for n, w in shared.items()}
    plain.load_state_dict(half)
    x, t = noise_from(0)().float(), torch.tensor([3.0, 70.0])
    found = both(x, t)
    assert found.shape == (2, 6, 4, 4)
    assert torch.allclose(found[:, :3], plain(x, t), atol=1e-6)
    assert found[:, 3:].std() > 0.01


def smoke(network: bool, training: bool, **sampler: Any) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    content["networks"]["net"]["learned_variance"] = network
    content["training"]["short"] |= {"learned_variance": training, "steps": 2}
    content["samplers"] = {"ddpm": {"kind": "ddpm", **sampler}}
    return content


@pytest.mark.parametrize(
    ("network", "training", "sampler", "wrong"),
    [
        (False, True, {}, "training.short.learned_variance: networks.net has no output channels"),
        (True, False, {}, "networks.net.learned_variance: nothing trains the variance: training."),
        (False, False, LEARNED, "grid.0.sampler: ddpm needs a network that predicts its variance"),
    ],
)
def test_what_does_not_go_together_is_refused_when_the_config_is_read(
    network: bool, training: bool, sampler: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(BenchmarkError) as caught:
        parse_config(smoke(network, training, **sampler))
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_losses_have_no_variance_to_learn() -> None:
    content = smoke(network=True, training=True)
    content["networks"]["net"]["time_embedding"] = "fourier"
    content["grid"] = [content["grid"][0] | {"schedule": "ve", "sampler": "ddim"}]
    with pytest.raises(BenchmarkError, match="learned_variance: only discrete VP schedules have"):
        parse_config(content)


def test_it_is_trained_and_sampled(run: Run) -> None:
    content = smoke(network=True, training=True, **LEARNED)
    content["grid"] = [content["grid"][0] | {"schedule": "linear", "steps": 3, "samples": 4}]
    config = parse_config(content)
    [cell] = config.cells
    assert cell.trained_as is not None
    do("train", config, cell.trained_as, run)
    do("sample", config, cell.id, run)
    assert np.load(run.samples(cell.id)).shape == (4, 16, 16, 3)
