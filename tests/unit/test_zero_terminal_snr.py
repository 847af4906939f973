"""Schedules whose last time is noise alone, Lin et al. 2024: their process, and who samples it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from analytic import MEAN, VARIANCE, moments
from checkout import SMOKE
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.yaml_text import read_yaml
from benchmark.diffusion.denoiser import Denoiser, Estimate, estimate_from
from benchmark.diffusion.losses.simple import Simple
from benchmark.diffusion.objective import loss_at
from benchmark.diffusion.processes.base import Prediction, Process
from benchmark.diffusion.processes.discrete_vp import DiscreteVP
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.cosine import Cosine
from benchmark.diffusion.schedules.linear import Linear

SHAPE = (2, 3, 4, 4)
OF_DIFFUSERS = {
    "linear": "linear",
    "scaled-linear": "scaled_linear",
    "sigmoid": "sigmoid",
    "cosine": "squaredcos_cap_v2",
}
SCHEDULERS = ["DDIMScheduler", "DDPMScheduler"]
OF_ALL = [name for name, part in SAMPLERS.classes.items() if part.families is None]
DIVIDING = [name for name in OF_ALL if SAMPLERS.get(name).divides_by_alpha]


@pytest.fixture(scope="module")
def process() -> DiscreteVP:
    return Linear(zero_terminal_snr=True).process()


class Wave(nn.Module):
    """Predicts v of standard normal data, which is 0, with waves on it."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return 0.3 * (2 * x).sin() + 1e-4 * t.to(x)[:, None, None, None]


class Shift(nn.Module):
    """Predicts its input and a number an image."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return 0.5 * x + self.bias


def scales_at(process: Process, t: Tensor) -> tuple[Any, Any]:
    return process.alpha(t.numpy()), process.sigma(t.numpy())


def noise_from(seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def gaussian(process: Process) -> Any:
    """Return the exact model of N(MEAN, VARIANCE) as a network that predicts v."""

    def model(x: Tensor, t: float) -> Estimate:
        alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
        residual = (x - alpha * MEAN) / (alpha**2 * VARIANCE + sigma**2)
        x0, eps = MEAN + alpha * VARIANCE * residual, sigma * residual
        return estimate_from("v", alpha * eps - sigma * x0, x, alpha, sigma)

    return model


@pytest.mark.parametrize("name", OF_DIFFUSERS)
@pytest.mark.parametrize("T", [2, 100, 1000])
def test_it_rescales_as_diffusers_does(name: str, T: int) -> None:
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    plain = SCHEDULES.make(name, T=T).process().alpha_bar
    found = SCHEDULES.make(name, T=T, zero_terminal_snr=True).process().alpha_bar
    betas = torch.tensor(1 - plain / np.append(1, plain[:-1]))
    expected = (1 - rescale_zero_terminal_snr(betas)).cumprod(0).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=0)


@given(T=st.integers(2, 300), s=st.floats(0, 0.1))
def test_the_first_time_is_kept_and_the_last_is_noise_alone(T: int, s: float) -> None:
    plain, found = Cosine(T=T, s=s).process(), Cosine(T=T, s=s, zero_terminal_snr=True).process()
    assert found.alpha(0.0) == pytest.approx(plain.alpha(0.0))
    assert (found.alpha(T - 1.0), found.sigma(T - 1.0)) == (0, 1)
    assert found.snr(T - 1.0) == 0
    assert (np.diff(found.alpha_bar) < 0).all()


@pytest.mark.filterwarnings("error")
def test_times_between_have_a_noise_level_and_are_found_by_it(process: DiscreteVP) -> None:
    t = np.append(np.linspace(0, 998.9, 500), [998.0, 999.0])
    with np.errstate(divide="ignore"):
        level = process.sigma(t) / process.alpha(t)
    np.testing.assert_allclose(process.alpha(t) ** 2 + process.sigma(t) ** 2, 1)
    np.testing.assert_allclose(process.time_of(level), t, atol=1e-7)
    assert (np.diff(process.alpha(np.linspace(997, 999, 50))) < 0).all()


@pytest.mark.parametrize("tensor", [False, True])
def test_v_recovers_image_and_noise_where_nothing_of_the_image_is_left(tensor: bool) -> None:
    x0, eps = noise_from(0)(), noise_from(1)()
    alpha, sigma = torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    scales = (alpha, sigma) if tensor else (0.0, 1.0)
    found = estimate_from("v", -x0, eps, *scales)
    assert torch.equal(found.x0, x0)
    assert torch.equal(found.eps, eps)


@pytest.mark.parametrize("prediction", ["v", "x0"])
@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 5, 20])
def test_samples_are_those_of_diffusers(
    process: DiscreteVP, kind: str, prediction: str, steps: int
) -> None:
    import diffusers

    theirs = getattr(diffusers, kind)(
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        prediction_type={"v": "v_prediction", "x0": "sample"}[prediction],
        clip_sample=False,
    )
    np.testing.assert_allclose(theirs.alphas_cumprod, process.alpha_bar, atol=1e-5)
    theirs.alphas_cumprod = torch.tensor(process.alpha_bar)  # theirs are in single precision
    theirs.set_timesteps(steps)
    assert theirs.timesteps[0] == 999
    x, generator = noise_from(0)(), torch.Generator().manual_seed(1)
    for t in theirs.timesteps:
        x = theirs.step(Wave()(x, t.expand(2)), t, x, generator=generator).prev_sample

    sampler = SAMPLERS.make(kind.removesuffix("Scheduler").lower(), spacing="trailing")
    model = Denoiser(Wave(), process, prediction)  # type: ignore[arg-type]
    times = sampler.plan(process, steps)
    found = sampler.sample(model, process, noise_from(0)(), times, noise_from(1))
    assert float((found - x).abs().max()) <= 1e-5


@pytest.mark.parametrize("name", [n for n in OF_ALL if not SAMPLERS.get(n).divides_by_alpha])
@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
@pytest.mark.filterwarnings("error")
def test_every_other_sampler_starts_at_noise_alone(
    process: DiscreteVP, name: str, spacing: str
) -> None:
    times = SAMPLERS.make(name, spacing=spacing).plan(process, 50)
    before = SAMPLERS.make(name, spacing="leading").plan(process, 50)
    assert times[0] == process.t_max
    mean, variance = moments(name, process, times, 50, gaussian(process))
    assert torch.allclose(mean, MEAN)
    # as far off as where its first time has a little of the image
    _, usual = moments(name, process, before, 50, gaussian(process))
    assert torch.allclose(variance, usual, rtol=0.05)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dpm-solver++", {}),
        ("dpm-solver++3m", {}),
        ("unipc", {"solver_order": 3}),
        ("unipc", {"solver_type": "bh1"}),
        ("unipc", {"predict_x0": False}),
        ("deis", {}),
        ("heun", {"spacing": "linspace"}),
    ],
)
def test_the_flow_from_noise_alone_is_that_of_the_gaussian(
    process: DiscreteVP, name: str, options: dict[str, Any]
) -> None:
    """All of x_0 = m + √c x_T, and so more nearly with more steps."""
    x_T = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None].repeat(1, 3)
    errors = []
    for steps in (100, 400):
        sampler = SAMPLERS.make(name, **options)
        times = sampler.plan(process, steps)
        assert times[0] == process.t_max
        found = sampler.sample(gaussian(process), process, x_T, times, noise_from(1))
        errors.append(float((found - MEAN - VARIANCE.sqrt() * x_T).abs().max()))
    # Of Heun's method the last step is left, which is Euler's from the first time.
    assert errors[1] < max(errors[0] / 2, 5e-4)
    assert errors[1] < 0.01


@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("heun", {"spacing": "karras"}, "spacing: karras is even in a power of σ/α, which is inf"),
        *((name, {"spacing": "linspace"}, f"sampler: {name} divides by α") for name in DIVIDING),
    ],
)
def test_what_divides_by_alpha_is_refused(
    process: DiscreteVP, name: str, options: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(BenchmarkError, match=f"^{wrong}[^\n]+: choose [^\n]+$"):
        SAMPLERS.make(name, **options).plan(process, 10)
    sampler = SAMPLERS.make(name, **options | {"spacing": "leading"})
    assert sampler.plan(process, 10)[0] < process.t_max


@pytest.mark.parametrize("prediction", ["v", "x0"])
def test_a_network_learns_at_noise_alone_too(process: DiscreteVP, prediction: Prediction) -> None:
    """The mean squared error of what it predicts, Lin et al. 2024, section 3.2."""
    x_0, eps, t = noise_from(0)(), noise_from(1)(), torch.tensor([999, 400])
    alpha, sigma = (torch.tensor(c)[:, None, None, None] for c in scales_at(process, t))
    wanted = {"v": alpha * eps - sigma * x_0, "x0": x_0}[prediction]
    bias = torch.zeros(2, 1, 1, 1, dtype=torch.float64, requires_grad=True)
    network = Shift(bias)
    loss = loss_at(Simple(), network, process, x_0, t, eps, prediction)
    loss.backward()
    expected = (network(alpha * x_0 + sigma * eps, t) - wanted).square().mean()
    assert loss.item() == pytest.approx(expected.item())
    assert bias.grad is not None
    assert (bias.grad.abs() > 1e-3).all()


def test_one_time_is_no_schedule() -> None:
    with pytest.raises(ValidationError, match="T = 1 and zero_terminal_snr make no schedule: T ≥"):
        Linear(T=1, zero_terminal_snr=True)


@pytest.mark.parametrize("prediction", [None, "eps", "score", "v", "x0"])
def test_a_network_that_predicts_the_noise_is_refused_for_it(prediction: str | None) -> None:
    config: dict[str, Any] = read_yaml(SMOKE.read_text())
    config["schedules"] = {"linear": {"kind": "linear", "zero_terminal_snr": True}}
    config["training"]["short"]["prediction"] = prediction
    if prediction in ("v", "x0"):
        parse_config(config)
        return
    with pytest.raises(BenchmarkError) as caught:
        parse_config(config)
    assert str(caught.value).endswith(
        f"training.short.prediction: {prediction or 'eps'} says nothing of the image at the last "
        "time of the schedule, where x_t is noise alone: v or x0 would"
    )
