from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from analytic import PATHS
from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.diffusion.denoiser import Estimate, estimate_from
from benchmark.diffusion.losses.continuous import Continuous
from benchmark.diffusion.losses.denoising_score_matching import DenoisingScoreMatching
from benchmark.diffusion.losses.flow_matching import FlowMatching
from benchmark.diffusion.losses.simple import Simple
from benchmark.diffusion.objective import loss_at, objective
from benchmark.diffusion.processes.base import Prediction, Process
from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.flow import FlowSchedule
from benchmark.diffusion.schedules.geometric import Geometric
from benchmark.diffusion.schedules.linear import Linear
from benchmark.diffusion.schedules.sub_vp import SubVPSchedule
from benchmark.diffusion.schedules.ve import VESchedule
from benchmark.diffusion.schedules.vp import VPSchedule


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
    assert loss_at(Simple(), Recorder(), Linear().process(), x_0, t, eps) == pytest.approx(
        float((eps**2).mean())
    )


def test_l_simple_noises_images_as_diffusers_does() -> None:
    from diffusers import DDPMScheduler

    x_0, generator = batch(4, 3, 8, 8)
    eps = torch.randn(x_0.shape, generator=generator)
    t = torch.tensor([0, 10, 500, 999])
    network = Recorder()
    loss_at(Simple(), network, Linear().process(), x_0, t, eps)
    assert torch.allclose(network.x, DDPMScheduler().add_noise(x_0, eps, t), atol=1e-5)
    assert torch.equal(network.t, t)


def noisy(process: Process, times: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Return clean images in the range of a process, noise, and the times."""
    images, generator = batch(len(times), 3, 8, 8)
    eps = torch.randn(images.shape, generator=generator)
    return process.encode(images), eps, torch.tensor(times)


@pytest.mark.parametrize("power", [2.0, 1.0, 0.0])
def test_score_matching_is_equation_6_of_song_and_ermon(power: float) -> None:
    process = Geometric().process()
    x_0, eps, t = noisy(process, [0, 3, 9, 9])
    network = Score()
    loss = loss_at(DenoisingScoreMatching(anneal_power=power), network, process, x_0, t, eps)

    expected = 0.0
    for i, level in enumerate(t.tolist()):
        sigma = 0.01 ** (1 - level / 9)
        x_t = x_0[i].double() + sigma * eps[i].double()
        difference = -x_t / 2 + (x_t - x_0[i]) / sigma**2
        expected += sigma**power * float((difference**2).sum()) / 2 / len(t)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    assert network.t.tolist() == [9, 6, 0, 0]  # NCSN counts from the largest noise


@pytest.mark.parametrize("likelihood_weighting", [False, True])
def test_continuous_loss_is_equation_7_of_song_et_al_for_ve(likelihood_weighting: bool) -> None:
    process = VESchedule(sigma_max=10.0).process()
    x_0, eps, t = noisy(process, [0.001, 0.4, 1.0])
    network = Score()
    weighted = Continuous(likelihood_weighting=likelihood_weighting)
    loss = loss_at(weighted, network, process, x_0, t, eps)

    sigma = 0.01 * 1000 ** t.double()
    g2 = 2 * np.log(1000) * sigma**2
    weight = g2 if likelihood_weighting else sigma**2
    x_t = x_0.double() + sigma[:, None, None, None] * eps
    error = (-x_t / 2 + eps / sigma[:, None, None, None]).square().mean((1, 2, 3))
    assert float(loss) == pytest.approx(float((weight * error).mean()), rel=1e-4)
    assert torch.allclose(network.t.double(), sigma, rtol=1e-6)


@pytest.mark.parametrize("sub", [False, True])
@pytest.mark.parametrize("likelihood_weighting", [False, True])
def test_continuous_loss_is_equation_7_of_song_et_al_for_vp(
    sub: bool, likelihood_weighting: bool
) -> None:
    process = SubVPSchedule().process() if sub else VPSchedule().process()
    x_0, eps, t = noisy(process, [0.01, 0.4, 1.0])
    network = Score()  # its output is ε̂, so the score is that over -σ
    weighted = Continuous(likelihood_weighting=likelihood_weighting)
    loss = loss_at(weighted, network, process, x_0, t, eps)

    beta, integral = 0.1 + 19.9 * t.double(), 0.1 * t.double() + 19.9 / 2 * t.double() ** 2
    decayed = 1 - torch.exp(-integral)
    sigma = decayed if sub else decayed.sqrt()
    g2 = beta * (1 - torch.exp(-2 * integral)) if sub else beta
    weight = g2 if likelihood_weighting else sigma**2
    alpha, std = (c[:, None, None, None] for c in (torch.exp(-integral / 2), sigma))
    x_t = alpha * x_0 + std * eps
    error = (-(-x_t / 2) / std + eps / std).square().mean((1, 2, 3))
    assert float(loss) == pytest.approx(float((weight * error).mean()), rel=1e-4)
    assert torch.allclose(network.t.double(), 999 * t.double())


class Score(Recorder):
    """Predicts -x/2."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        super().forward(x, t)
        return -x / 2


@pytest.mark.parametrize("kind", PATHS)
def test_loss_is_the_same_for_the_same_generator(kind: str) -> None:
    loss = objective(SCHEDULES.make(kind).process())
    images, _ = batch(4, 3, 8, 8)
    first, again, other = (
        loss(Recorder(), images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.isfinite()
    assert first == again != other


@pytest.mark.parametrize("kind", PATHS)
def test_exact_score_has_the_least_loss(kind: str) -> None:
    """For images of one grey, whose score is known, against the same score made a little larger."""
    process = SCHEDULES.make(kind).process()
    images = torch.full((500, 1, 2, 2), 0.3)
    losses = [
        objective(process)(Grey(process, 0.3, factor), images, torch.Generator().manual_seed(0))
        for factor in (0.9, 1.0, 1.1)
    ]
    assert losses[1] < min(losses[0], losses[2])
    assert losses[1] < 1e-2


class Grey(nn.Module):
    """The exact prediction for images of one grey, times a factor."""

    def __init__(self, process: Process, grey: float, factor: float) -> None:
        super().__init__()
        self.process, self.factor = process, factor
        self.x_0 = process.encode(torch.tensor(grey))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        alpha, sigma = levels_of(self.process, condition)
        x_t = x.double() / self.process.input_scale(sigma)
        exact = estimate_from("x0", self.x_0.expand_as(x), x_t, alpha, sigma)
        return (self.factor * said(exact, self.process.prediction, x_t, self.process)).float()


def test_times_of_training_are_drawn_evenly() -> None:
    network = Recorder()
    images, generator = batch(20000, 1, 1, 1)
    objective(Linear(T=10).process())(network, images, generator)
    counts = network.t.bincount(minlength=10)
    assert counts.shape == (10,)
    assert (counts - 2000).abs().max() < 5 * 2000**0.5


def test_times_of_an_sde_are_drawn_evenly_down_to_those_of_the_authors() -> None:
    network = Recorder()
    images, generator = batch(20000, 1, 1, 1)
    objective(VPSchedule(t_end=0.2).process())(network, images, generator)
    times = network.t.sort().values / 999
    even = (torch.arange(20000) + 0.5) / 20000
    assert (times - even).abs().max() < 0.02
    assert times.min() >= 1e-5


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score", "velocity", "edm"])
def test_whatever_an_exact_network_predicts_its_loss_is_the_same(
    kind: str, prediction: Prediction
) -> None:
    process = SCHEDULES.make(kind).process()
    images, _ = batch(4, 3, 8, 8)

    class Wrong(nn.Module):
        """Believes that every image is grey, and says so in the words that are asked for."""

        def __init__(self, says: Prediction) -> None:
            super().__init__()
            self.says = says

        def forward(self, x: Tensor, condition: Tensor) -> Tensor:
            alpha, sigma = levels_of(process, condition)
            x_t = x.double() / process.input_scale(sigma)
            believed = estimate_from("x0", 0.1 * torch.ones_like(x_t), x_t, alpha, sigma)
            return said(believed, self.says, x_t, process).float()

    losses = [
        objective(process, says)(Wrong(says), images, torch.Generator().manual_seed(5))
        for says in (process.prediction, prediction)
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=0)


def said(believed: Estimate, prediction: Prediction, x_t: Tensor, process: Process) -> Tensor:
    """Return what a network puts out that believes this of x_t, and predicts that."""
    if prediction != "edm":
        return getattr(believed, prediction)  # type: ignore[no-any-return]
    data, level = process.sigma_data, torch.as_tensor(believed.sigma / believed.alpha)
    c_skip = data**2 / (level**2 + data**2)  # Karras et al. 2022, table 1
    c_out = level * data / (level**2 + data**2).sqrt()
    return (believed.x0 - c_skip * x_t / believed.alpha) / c_out


def levels_of(process: Process, condition: Tensor) -> tuple[Tensor, Tensor]:
    """α and σ of what a network is conditioned on, B×1×1×1 each, in float64."""
    if process.family == "edm":
        t = np.exp(4 * condition.double().numpy())
    else:
        times = np.linspace(0, process.t_max, process.length or 1_000_001)
        told = process.condition(times)
        order = np.argsort(told)
        t = np.interp(condition.double().numpy(), told[order], times[order])
    levels = (torch.as_tensor(level(t)) for level in (process.alpha, process.sigma))
    alpha, sigma = (level[:, None, None, None] for level in levels)
    return alpha, sigma


def test_what_a_network_is_told_leads_back_to_the_time() -> None:
    for kind, told in {"geometric": [9.0, 0.0], "ve": [0.01, 50.0], "vp": [0.0, 999.0]}.items():
        process = SCHEDULES.make(kind).process()
        ends = [0, process.t_max]
        alpha, sigma = levels_of(process, torch.tensor(told))
        assert alpha.flatten().tolist() == pytest.approx([float(process.alpha(t)) for t in ends])
        assert sigma.flatten().tolist() == pytest.approx([float(process.sigma(t)) for t in ends])


@pytest.mark.parametrize("space", ["eps", "x0", "v", "velocity"])
@pytest.mark.parametrize("gamma", [0.5, 5.0])
def test_min_snr_is_the_least_of_snr_and_gamma_times_the_error_of_the_image(
    space: str, gamma: float
) -> None:
    """Hang et al. 2023, section 3.4, where it is min(SNR, γ)/SNR of ε, and over SNR + 1 of v."""
    process = Linear().process()
    x_0, eps, t = noisy(process, [0, 100, 500, 999])
    t = t.long()
    weighted = Simple(loss_weight="min-snr", loss_space=space, min_snr_gamma=gamma)  # type: ignore[arg-type]
    loss = loss_at(weighted, Score(), process, x_0, t, eps)
    snr = torch.tensor(process.snr(t.numpy()))
    alpha, sigma = torch.tensor(process.alpha(t.numpy())), torch.tensor(process.sigma(t.numpy()))
    a, s = alpha[:, None, None, None], sigma[:, None, None, None]
    x_t = a * x_0 + s * eps
    error = (-x_t / 2 - eps).square().mean((1, 2, 3))  # of ε, which the network predicts
    expected = (snr.clamp(max=gamma) / snr * error).mean()
    assert float(loss) == pytest.approx(float(expected), rel=2e-4)


def test_a_weight_that_is_stated_for_the_image_is_the_same_in_every_space() -> None:
    process = FlowSchedule().process()
    x_0, eps, t = noisy(process, [0.1, 0.5, 0.9, 0.99])
    for weight in ("min-snr", "edm"):
        losses = [
            float(
                loss_at(
                    FlowMatching(loss_weight=weight, loss_space=space),  # type: ignore[arg-type]
                    Score(),
                    process,
                    x_0.double(),
                    t.double(),
                    eps.double(),
                )
            )
            for space in ("eps", "x0", "v", "velocity")
        ]
        assert losses == pytest.approx([losses[0]] * 4)


@pytest.mark.parametrize("weight", ["min-snr", "edm"])
def test_a_weight_that_is_stated_for_the_image_is_finite_at_noise_alone(weight: str) -> None:
    """Where the error of ε, of which no image follows, would be weighed by 0/0."""
    process = Linear(zero_terminal_snr=True).process()
    x_0, eps, t = noisy(process, [999])
    losses = [
        float(
            loss_at(
                Simple(loss_weight=weight, loss_space=space),  # type: ignore[arg-type]
                Score(),
                process,
                x_0,
                t.long(),
                eps,
                "x0",
            )
        )
        for space in ("eps", "x0")
    ]
    expected = {"min-snr": 0.0, "edm": 4 * float((Score()(eps, t) - x_0).square().mean())}
    assert losses == pytest.approx([expected[weight]] * 2)


@pytest.mark.parametrize("weight", ["min-snr", "edm"])
def test_a_weight_is_the_same_in_whatever_range_pixels_are(weight: str) -> None:
    """Images in [0, 1] with half the noise have the same weights of ε̂ as those in [-1, 1]."""
    halved, whole = VE(0.01, 10.0), VE(0.02, 20.0, data_range=(-1.0, 1.0))
    x_0, eps, t = noisy(halved, [0.1, 0.3, 0.6, 0.9])
    loss = Continuous(loss_weight=weight)  # type: ignore[arg-type]
    of_halves = loss_at(loss, Recorder(), halved, x_0, t, eps, "eps")
    of_wholes = loss_at(loss, Recorder(), whole, 2 * x_0 - 1, t, eps, "eps")
    assert float(of_halves) == pytest.approx(float(of_wholes))


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"min_snr_gamma": 3.0}, "min_snr_gamma: is of the weight min-snr"),
        ({"likelihood_weighting": True, "loss_weight": "edm"}, "likelihood_weighting: is a weight"),
        ({"likelihood_weighting": True, "loss_space": "x0"}, "likelihood_weighting: is a weight"),
    ],
)
def test_weights_that_contradict_each_other_are_refused(
    options: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Continuous(**options)
