"""Flow matching: its path, its loss, and samplers that start where nothing of the image is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from analytic import MEAN, PROCESSES, VARIANCE, gaussian, no_noise
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.losses.flow_matching import FlowMatching
from benchmark.diffusion.objective import loss_at, objective
from benchmark.diffusion.processes.flow import Flow
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules.flow import FlowSchedule
from benchmark.diffusion.timesteps import timesteps

FLOW = Flow()
ODE_SOLVERS = ["ddim", "heun", "dpm-solver++", "dpm-solver++3m", "unipc", "deis", "ipndm"]


class Recorder(nn.Module):
    """Predicts half of its input and remembers what it was given."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        self.x, self.condition = x, condition
        return x / 2


def drawn(count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, 4, 4, generator=generator, dtype=torch.float64) * 2 - 1
    eps = torch.randn(images.shape, generator=generator, dtype=torch.float64)
    return images, eps, torch.rand(count, generator=generator, dtype=torch.float64)


def test_the_loss_is_that_of_rectified_flow() -> None:
    x_0, eps, t = drawn(5)
    network = Recorder()
    loss = loss_at(FlowMatching(), network, FLOW, x_0, t, eps)
    between = t[:, None, None, None]
    x_t = (1 - between) * x_0 + between * eps
    assert torch.allclose(network.x, x_t)
    assert torch.allclose(network.condition, 1000 * t)
    expected = (x_t / 2 - (eps - x_0)).square().mean()
    assert float(loss) == pytest.approx(float(expected))


def test_path_target_and_loss_are_those_of_torchcfm() -> None:
    """Its time runs the other way, from noise at 0 to images at 1."""
    matching = pytest.importorskip("torchcfm.conditional_flow_matching")
    x_0, eps, t = drawn(64)
    matcher = matching.ConditionalFlowMatcher(sigma=0.0)
    _, x_t, target = matcher.sample_location_and_conditional_flow(eps, x_0, t=1 - t)
    network = Recorder()
    loss = loss_at(FlowMatching(), network, FLOW, x_0, t, eps)
    assert float((network.x - x_t).abs().max()) <= 1e-6
    theirs = (-network(x_t, t) - target).square().mean()
    assert float(loss) == pytest.approx(float(theirs), abs=1e-6)


def test_times_are_drawn_evenly_or_logit_normally() -> None:
    network, images = Recorder(), torch.zeros(20_000, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    objective(FLOW)(network, images, generator)
    even = (torch.arange(20_000) + 0.5) / 20_000
    assert (network.condition.sort().values / 1000 - even).abs().max() < 0.02
    options = {"time_distribution": "logit-normal", "logit_mean": -0.5, "logit_std": 2.0}
    objective(FLOW, **options)(network, images, generator)
    logits = (network.condition.double() / 1000).logit()
    assert float(logits.mean()) == pytest.approx(-0.5, abs=0.05)
    assert float(logits.std()) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    "name", [n for n in SAMPLERS.names() if SAMPLERS.get(n).is_defined_for(FLOW)]
)
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.filterwarnings("error")
def test_few_steps_lead_from_noise_alone_to_the_image(name: str, steps: int) -> None:
    sampler = SAMPLERS.make(name)
    x_T = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None].repeat(1, 3)
    times = sampler.plan(FLOW, steps)
    found = sampler.sample(gaussian(FLOW), FLOW, x_T, times, lambda: x_T.flip(0))
    assert float(found.abs().max()) < 6


@pytest.mark.parametrize("option", ["logit_mean", "logit_std"])
def test_options_of_logit_normal_times_are_refused_with_uniform_ones(option: str) -> None:
    with pytest.raises(ValidationError, match=f"{option}: is of logit-normal times"):
        FlowMatching(**{option: 0.5})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["dpm-solver++", "dpm-solver++2s", "unipc", "deis"])
def test_a_last_step_towards_more_noise_is_refused(name: str) -> None:
    sampler, process = SAMPLERS.make(name, final_sigmas_type="sigma_min"), Flow(t_end=0.15)
    assert sampler.plan(process, 6)[-1] > 0.15
    trailing = SAMPLERS.make(name, final_sigmas_type="sigma_min", spacing="trailing")
    with pytest.raises(BenchmarkError, match=r"^steps: the last of 10 times is 0\.1, from which"):
        trailing.plan(process, 10)


@given(steps=st.integers(1, 60), shift=st.floats(0.1, 20))
def test_times_go_from_noise_alone_towards_the_image(steps: int, shift: float) -> None:
    times = timesteps(FlowSchedule(shift=shift).process(), steps)
    even = 1 - np.arange(steps) / steps
    assert times[0] == 1
    np.testing.assert_allclose(times, shift * even / (1 + (shift - 1) * even))
    assert (np.diff(times) < 0).all()


def test_ddim_is_euler_s_method_in_the_velocity() -> None:
    model, times = gaussian(FLOW), timesteps(FLOW, 7)
    x_T = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None].repeat(1, 3)
    x = x_T
    for t, after in zip(times, np.append(times[1:], 0.0), strict=True):
        x = x + (after - t) * model(x, float(t)).velocity
    found = SAMPLERS.make("ddim").sample(model, FLOW, x_T, times, no_noise)
    assert torch.allclose(found, x, atol=1e-12)


@pytest.mark.parametrize("name", ODE_SOLVERS)
def test_the_flow_of_a_gaussian_is_solved_from_noise_alone(name: str) -> None:
    """It takes x_T to m + √c x_T; solvers that go to the image come nearer with more steps."""
    x_T = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None].repeat(1, 3)
    errors = []
    for steps in (100, 400):
        sampler = SAMPLERS.make(name)
        times = sampler.plan(FLOW, steps)
        assert times[0] == 1
        found = sampler.sample(gaussian(FLOW), FLOW, x_T, times, no_noise)
        errors.append(float((found - MEAN - VARIANCE.sqrt() * x_T).abs().max()))
    assert errors[1] < max(errors[0] / 2, 1e-3)
    assert errors[1] < 0.02


@pytest.mark.parametrize("other", ["vp", "ve", "edm", "linear"])
def test_its_samples_are_those_of_other_processes_under_a_change_of_variables(other: str) -> None:
    """x/(α + σ) at equal σ/α, for an exact score: solved with many small steps of second order."""
    process = PROCESSES[other]
    last, first = 0.02, 0.9
    u = np.linspace(first, last, 2001)
    t = process.time_of(u / (1 - u))
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None].repeat(1, 3)
    alpha, sigma = process.alpha(t), process.sigma(t)
    scale = torch.tensor(alpha + sigma)
    solved = _heun(gaussian(process), t, x * scale[0], alpha, sigma) / scale[-1]
    ours = _heun(gaussian(FLOW), u, x, 1 - u, u)
    assert torch.allclose(solved, ours, atol=1e-6)


def _heun(model: Any, t: Any, x: Tensor, alpha: Any, sigma: Any) -> Tensor:
    """Return x_t followed through all times, dx = x̂_0 dα + ε̂ dσ."""
    for i in range(len(t) - 1):
        d_alpha, d_sigma = alpha[i + 1] - alpha[i], sigma[i + 1] - sigma[i]
        first = model(x, t[i])
        step = first.x0 * d_alpha + first.eps * d_sigma
        second = model(x + step, t[i + 1])
        x = x + (step + second.x0 * d_alpha + second.eps * d_sigma) / 2
    return x


def test_given_the_image_the_sde_has_the_mean_and_the_variance_of_the_path() -> None:
    t = np.linspace(0, 1, 1001)
    middle = (t[1:] + t[:-1]) / 2
    pulled = 0.7 * np.cumsum(FLOW.pull(middle)) / 1000
    variance = np.cumsum(FLOW.diffusion(middle) ** 2) / 1000
    np.testing.assert_allclose(0.7 + pulled, 0.7 * FLOW.alpha(t[1:]), atol=1e-9)
    np.testing.assert_allclose(variance, FLOW.sigma(t[1:]) ** 2, atol=1e-9)
