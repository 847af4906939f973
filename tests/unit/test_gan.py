"""A GAN: its loss against closed forms, its training, its samples, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stages import do
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmark.config.building import sample_job
from benchmark.config.config import Config
from benchmark.config.loading import filled_in, parse_config
from benchmark.config.training import Training
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.adversarial import Pair, sampled_part
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.objective import objective
from benchmark.diffusion.processes.latent import Latent
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.models.networks.dcgan import DCGAN
from benchmark.models.weights import load_weights
from benchmark.records.record import read_record
from benchmark.stages.trainer import Trainer, TrainingSet
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import Run
from benchmark.tools.estimate import estimate
from benchmark.tools.network_cost import flops, training_flops

PROCESS = Latent()
SMALL = DCGAN(latent=3, channels=(16,))
SIDE = 2


class Shift(nn.Module):
    """A generator that moves the noise."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by, dtype=torch.float64))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x + self.by


class Linear(nn.Module):
    """The critic w·x + b, whose gradient is w at every image."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.offset = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weights + self.offset


def drawn(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def loss_of(pair: nn.Module, x: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return the loss of a pair at images x, and the noise that it drew."""
    seen = []
    forward = pair.forward

    def recorded(noise: Tensor, images: Tensor) -> Any:
        seen.append(noise)
        return forward(noise.double(), images)

    pair.forward = recorded  # type: ignore[method-assign]
    loss = objective(PROCESS, gradient_penalty=gamma)
    found = loss(pair, x, torch.Generator().manual_seed(3), slice(None))
    return found, seen[0].double()


def test_the_loss_of_a_linear_critic_is_the_formula_and_so_is_its_gradient() -> None:
    w, x, by, gamma = drawn(0, 12) / 3, drawn(1, 5, 3, 2, 2), 0.7, 1.9
    pair = Pair(Shift(by), Linear(w.clone()))
    loss, noise = loss_of(pair, x, gamma)
    real, made = x.flatten(1), (noise + by).flatten(1)
    margin = (real - made) @ w  # D(x) - D(G(z)), in which the offset cancels
    expected = softplus(-margin).mean() + softplus(margin).mean() + gamma * w.square().sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    # of the critic's part alone, by hand: -σ(-m) (x - G(z)), and γ w of R1 and of R2
    slope = -(torch.sigmoid(-margin)[:, None] * (real - made)).mean(0) + 2 * gamma * w
    torch.testing.assert_close(pair.critic.weights.grad, slope, rtol=1e-6, atol=1e-8)
    # of the generator's alone: -σ(m) Σ w
    moved = -(torch.sigmoid(margin) * w.sum()).mean()
    assert pair.generator.by.grad.item() == pytest.approx(moved.item(), rel=1e-6)


def test_the_penalties_are_the_gradients_of_any_critic_at_both_sets_of_images() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0)
    )
    pair, x = Pair(Shift(0.2), critic.double()), drawn(1, 4, 3, 2, 2)
    without, noise = loss_of(pair, x, 0.0)
    penalised, _ = loss_of(Pair(Shift(0.2), critic), x, 5.0)
    square = torch.zeros((), dtype=torch.float64)
    for images in (x, noise + 0.2):
        for image in images:
            slope = torch.func.jacrev(lambda one: critic(one[None])[0])(image)
            square += slope.square().sum() / len(images)
    assert (penalised - without).item() == pytest.approx(2.5 * square.item(), rel=1e-6)


def test_the_best_critic_of_two_gaussians_is_the_logarithm_of_their_ratio() -> None:
    """Of N(m, 1) and N(0, 1) that is m x and a constant, which pairs cannot tell."""
    m, count = 0.8, 200_000
    x, noise = m + drawn(0, count, 1, 1, 1), drawn(1, count, 1, 1, 1)
    critic = Linear(torch.zeros(1, dtype=torch.float64))
    pair = Pair(Shift(0.0), critic)
    optimiser = torch.optim.LBFGS([critic.weights], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        judged = pair(noise, x)
        loss = softplus(judged.fake - judged.real).mean()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    assert critic.weights.item() == pytest.approx(m, abs=0.015)


def test_a_critic_that_tells_nothing_makes_the_loss_two_logarithms_of_two() -> None:
    loss, _ = loss_of(
        Pair(Shift(0.0), Linear(torch.zeros(12, dtype=torch.float64))), drawn(1, 4, 3, 2, 2), 7.0
    )
    assert loss.item() == pytest.approx(2 * math.log(2))


def pictures(count: int = 32) -> Tensor:
    """Return images of two modes: left half white, or right half white."""
    images = torch.zeros((count, SIDE, SIDE, 3), dtype=torch.uint8)
    images[::2, :, : SIDE // 2] = 255
    images[1::2, :, SIDE // 2 :] = 255
    return images


def trainer(state: Path, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    chosen = {
        "steps": 12,
        "batch": 8,
        "lr": 3e-3,
        "warmup": 0,
        "betas": (0.0, 0.99),
        "ema": 0.9,
        "clip": None,
        "log_every": 4,
        "save_seconds": 1e-9,
    } | settings
    data, loss = TrainingSet(pictures()), objective(PROCESS, gradient_penalty=1.0)
    return Trainer(SMALL.trained(SIDE), loss, data, Training(**chosen), seed=7, state=state)


def made_by(found: Trainer, count: int = 200) -> np.ndarray:
    """Return images in [-1, 1], count×3×H×W, of the averaged generator."""
    found.sampled.load_state_dict(found.sampled_weights())
    noise = torch.randn((count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return found.sampled(noise, torch.zeros(count)).numpy()


def test_training_reaches_both_modes_of_tiny_images(tmp_path: Path) -> None:
    found = trainer(tmp_path, steps=150, batch=32, lr=1e-2)
    modes = np.stack([image.numpy().transpose(2, 0, 1) / 127.5 - 1 for image in pictures(2)])

    def distances() -> np.ndarray:
        return np.abs(made_by(found)[:, None] - modes).mean((2, 3, 4))

    before = distances()
    assert before.min(1).mean() > 0.8
    for step in range(found.total):
        found.step(step)
    after = distances()
    assert after.min(1).mean() < 0.6
    share = (after.argmin(1) == 0).mean()
    assert 0.2 < share < 0.8


@pytest.mark.parametrize("stopped", [1, 6, 11])
def test_a_training_that_dies_and_goes_on_ends_with_the_same_bits(
    tmp_path: Path, stopped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trainer(tmp_path / "whole")
    whole.run("whole")
    cut, step = trainer(tmp_path / "cut"), Trainer.step

    def dies(self: Trainer, number: int) -> Any:
        if number == stopped:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(Trainer, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        cut.run("cut")
    monkeypatch.undo()
    resumed = trainer(tmp_path / "cut")
    resumed.run("cut")
    for name, weights in whole.averaged.items():
        assert torch.equal(weights, resumed.averaged[name])
    assert whole.curve() == resumed.curve()


def test_the_norm_of_the_gradient_is_that_of_the_generator(tmp_path: Path) -> None:
    for clip in (None, 1e-3):
        found = trainer(tmp_path, clip=clip)
        told = found.step(0)
        whole = sum(p.grad.square().sum() for p in found.network.parameters()).sqrt().item()
        own = sum(p.grad.square().sum() for p in found.sampled.parameters()).sqrt().item()
        if clip is None:
            assert told.gradient.item() == pytest.approx(own, rel=1e-5)
            assert whole > own
        else:  # told before it was clipped
            assert whole == pytest.approx(clip, rel=1e-3)
            assert told.gradient.item() > clip
    found.run("curve")
    assert len(found.curve().gradient) == len(found.curve().steps)


def test_an_image_depends_on_its_own_noise_alone() -> None:
    torch.manual_seed(0)
    generator = SMALL.build(SIDE)
    assert sampled_part(generator) is generator
    noise = torch.randn(6, 3, SIDE, SIDE)
    model = Denoiser(generator, PROCESS)
    sampler = SAMPLERS.make("generator")
    times = sampler.plan(PROCESS, 1)
    with torch.inference_mode():
        whole = sampler.sample(model, PROCESS, noise, times, lambda: noise)
        assert model.evaluations == 6
        for i in range(6):
            one = sampler.sample(model, PROCESS, noise[i : i + 1], times, lambda: noise)
            torch.testing.assert_close(one, whole[i : i + 1], rtol=1e-5, atol=1e-6)
    changed = noise.clone()
    changed.flatten(1)[:, SMALL.latent :] = 0  # not of the latent
    assert torch.equal(generator(changed, torch.zeros(6)), generator(noise, torch.zeros(6)))


def test_a_step_of_a_gan_is_counted_with_its_penalties(gan: Config) -> None:
    """The gradient of a penalty takes each product of the critic again, more than once."""
    network, loss = gan.networks["gan"], objective(PROCESS, gradient_penalty=0.1)
    made = flops(network.build(16), 16, PROCESS)
    counted = training_flops(network.trained(16), loss, 16)
    assert counted > 3 * made + 2 * 3 * 0.9 * made  # a critic takes about as much
    rows = {row.name: row for row in estimate(gan, Run(Path("none") / gan.run), threads=1).rows}
    assert rows["GAN-latent"].flops == counted * 12 * 8
    assert rows["GAN-latent-generator-1-s0"].flops == made * 8


def content_of(smoke: Config) -> dict[str, Any]:
    content = filled_in(smoke)
    content["networks"]["gan"] = {"kind": "dcgan", "channels": [8, 8], "latent": 8, "patch": 2}
    content["models"] = {
        "GAN": {"family": "GAN", "data": "tiny", "network": "gan", "training": "short"}
    }
    entry = {"table": "adversarial", "model": "GAN", "schedule": "latent", "sampler": "generator"}
    content["grid"] = [{**entry, "steps": 1, "samples": 8}]
    return content


@pytest.fixture(scope="module")
def gan(smoke: Config) -> Config:
    return parse_config(content_of(smoke))


def test_a_gan_goes_through_the_stages(gan: Config, tmp_path: Path) -> None:
    run = Run(tmp_path / "results" / "gan")
    do("prepare", gan, "tiny", run)
    record = do("train", gan, "GAN-latent", run)
    network = DCGAN(channels=(8, 8), latent=8, patch=2).build(16)
    weights, header = load_weights(run.weights("GAN-latent"))
    assert weights.keys() == network.state_dict().keys()  # the generator's alone
    assert header["network"]["kind"] == "dcgan"
    assert record.trained.parameters == sum(p.numel() for p in network.parameters())
    assert record.trained.errors == []
    [cell] = gan.cells
    sampled = do("sample", gan, cell.id, run)
    assert sampled.timing.network_evaluations == 1
    assert open_array(run.samples(cell.id)).shape == (8, 16, 16, 3)
    assert read_record(run.record("train", "GAN-latent")).curve.gradient


def test_states_of_a_gan_are_kept_and_sampled(smoke: Config, tmp_path: Path) -> None:
    content = content_of(smoke)
    content["grid"][0]["evaluate_every"] = 6
    config = parse_config(content)
    run = Run(tmp_path / "results" / "gan")
    do("prepare", config, "tiny", run)
    do("train", config, "GAN-latent", run)
    kept = next(cell for cell in config.cells if cell.trained_steps == 6)
    do("sample", config, kept.id, run)
    assert sample_job(config, kept.id).spec()["trained_steps"] == 6


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        ("grid.0.steps", 50, "grid.0.steps: 50 are more than the 1 times of the schedule"),
        (
            "grid.0.sampler",
            "ddim",
            "grid.0.sampler: ddim is not defined for a latent process: it is",
        ),
        (
            "grid.0.sampler",
            "heun",
            "grid.0.sampler: heun is not defined for a latent process: it is",
        ),
        (
            "grid.0.schedule",
            "linear",
            "networks.gan: a dcgan makes images at once, and linear is a path",
        ),
        (
            "models.GAN.network",
            "net",
            "networks.net: latent trains a generator and its critic, and",
        ),
        ("networks.gan.classes", 3, "networks.gan: classes: a dcgan is told nothing of classes"),
        (
            "networks.gan.latent",
            1000,
            "models.GAN.network.latent: 1000 numbers are not in the noise",
        ),
        (
            "networks.gan.patch",
            3,
            "models.GAN.network: halves its images too often for resolution 16",
        ),
        ("training.short.held_out_points", 3, "training.short.held_out_points: the loss of a gen"),
        ("training.short.prediction", "v", "training.short.prediction: v is of a path of noise"),
        ("training.short.loss_space", "x0", "training.short.loss_space: only "),
        ("grid.0.guidance", [2], "grid.0.guidance: networks.gan is told no classes"),
        (
            "grid.0.task",
            [{"kind": "colourise", "method": "dps"}],
            "grid.0.task: on the schedule latent an image is made at once",
        ),
        ("likelihood", {"model": ["GAN"]}, "likelihood.model: models.GAN has the schedule latent"),
        (
            "compile",
            True,
            "training.short.loss: torch.compile has no second derivatives, which adv",
        ),
    ],
)
def test_what_is_not_of_a_gan_is_refused(
    smoke: Config, keys: str, value: Any, expected: str
) -> None:
    content = content_of(smoke)
    at: Any = content
    *path, last = keys.split(".")
    for key in path:
        at = at[int(key) if isinstance(at, list) else key]
    at[last] = value
    with pytest.raises(BenchmarkError) as caught:
        parse_config(content)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_generator_is_not_trained_on_a_path_of_noise(smoke: Config) -> None:
    content = content_of(smoke)
    content["grid"][0] |= {"schedule": "linear", "sampler": "ddim", "steps": 5}
    with pytest.raises(BenchmarkError, match=r"networks\.gan: a dcgan makes images at once"):
        parse_config(content)
    content["models"]["GAN"]["network"] = "net"
    content["training"]["short"]["gradient_penalty"] = 1.0
    with pytest.raises(BenchmarkError, match="gradient_penalty: only latent schedules have it"):
        parse_config(content)
