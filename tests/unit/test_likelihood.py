"""Bits per dimension: closed forms, other ways to compute them, and what a config may ask for."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from analytic import MEAN, PROCESSES, VARIANCE, Model, gaussian, scales
from stages import do
from torch import Tensor
from torch.distributions import Normal

from benchmark.config.building import likelihood_job
from benchmark.config.config import Config
from benchmark.config.expected import expected_records
from benchmark.config.loading import filled_in, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.diffusion.denoiser import Denoiser, Estimate
from benchmark.diffusion.likelihood import (
    bits_per_dimension,
    log_density,
    variational_bounds,
)
from benchmark.diffusion.noise_levels import FINE_LEVELS, denoising_error, times_of_levels
from benchmark.diffusion.ode import FAMILIES
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.processes.flow import Flow
from benchmark.diffusion.processes.vp import VP
from benchmark.diffusion.schedules.linear import Linear
from benchmark.records.record import read_record, read_records
from benchmark.report.denoising_plot import denoising_plot
from benchmark.report.formats import FORMATS
from benchmark.report.likelihood_table import likelihood_table
from benchmark.storage.paths import TABLE_FORMATS, Run
from benchmark.tools.estimate import estimate

DENSE = [name for name, process in PROCESSES.items() if process.family in FAMILIES]


def images(count: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(count, len(MEAN), generator=generator, dtype=torch.float64)
    return MEAN + VARIANCE.sqrt() * normal


def waves(process: Process) -> Model:
    """Return a model that is not linear, and whose pixels depend on each other."""

    def model(x: Tensor, t: float) -> Estimate:
        alpha, sigma = scales(process, t)
        eps = sigma * x / (alpha**2 + sigma**2) + 0.2 * alpha * sigma * (2 * x.roll(1, 1)).sin()
        return Estimate(None, eps, alpha, sigma, x)

    return model


def of_start(process: Process, x_0: Tensor) -> Tensor:
    """Return the log density of Gaussian data with the least noise, over α, in closed form."""
    alpha, sigma = scales(process, process.t_learnt)
    return Normal(MEAN, (VARIANCE + (sigma / alpha) ** 2).sqrt()).log_prob(x_0).sum(1)


def of_end(process: Process, x_0: Tensor) -> Tensor:
    """Return the same as the flow of the data leaves it when its end is taken for the prior.

    The flow of Gaussian data is linear: it leads from quantile to quantile.
    """
    (alpha, sigma), (alpha_T, sigma_T) = (
        scales(process, t) for t in (process.t_learnt, process.t_max)
    )
    std = (VARIANCE + (sigma / alpha) ** 2).sqrt()
    std_T = (alpha_T**2 * VARIANCE + sigma_T**2).sqrt()
    x_T = alpha_T * MEAN + std_T * (x_0 - MEAN) / std
    unit = float(process.prior(torch.ones(())) - process.prior(torch.zeros(())))
    prior = Normal(float(process.prior(torch.zeros(()))), unit)
    return (prior.log_prob(x_T) + (std_T / std).log()).sum(1)


@pytest.mark.parametrize("key", DENSE)
def test_the_density_of_gaussian_data_is_the_closed_form(key: str) -> None:
    process, x_0 = PROCESSES[key], images()
    found = log_density(gaussian(process), process, x_0, None, 1e-9)
    assert np.abs(found.log - of_end(process, x_0).numpy()).max() <= 1e-5
    # That of the data itself, but for what is left of them at the last time.
    left = 0.5 if key in ("ve", "edm") else 0.05  # whose last σ is only 10
    assert np.abs(found.log - of_start(process, x_0).numpy()).max() <= left


def test_of_a_path_that_ends_in_noise_it_is_that_of_the_data_themselves() -> None:
    process, x_0 = Flow(), images()
    found = log_density(gaussian(process), process, x_0, None, 1e-9)
    assert np.abs(found.log - of_start(process, x_0).numpy()).max() <= 1e-6


@pytest.mark.parametrize("key", ["vp", "sub-vp"])
def test_it_is_that_of_the_ode_in_time_by_another_solver_and_jacobian(key: str) -> None:
    process, x_0 = PROCESSES[key], images(1)
    assert isinstance(process, VP)
    model = waves(process)
    found = log_density(model, process, x_0, None, 1e-9)

    def slope(x: Tensor, t: float) -> Tensor:  # Song et al. 2021, equation 13
        return process.drift(t) * x - 0.5 * process.diffusion(t) ** 2 * model(x[None], t).score[0]

    def both(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        jacobian = torch.func.jacrev(slope)(x, t)
        return slope(x, t), jacobian.trace()

    # Even in √t, since the score grows without bound towards 0.
    roots = np.linspace(process.t_learnt**0.5, process.t_max**0.5, 401)
    for row, image in enumerate(x_0):
        alpha, _ = scales(process, process.t_learnt)
        x, log = alpha * image, len(image) * math.log(alpha)
        for a, b in itertools.pairwise(roots):
            h, gains = b - a, []
            y = x
            for node in (0.0, 0.5, 0.5, 1.0):  # the classical Runge-Kutta method
                root = a + node * h
                y = x if not gains else x + node * h * gains[-1][0]
                gains.append([2 * root * part for part in both(y, float(root**2))])
            x = x + h / 6 * sum(w * g[0] for w, g in zip((1, 2, 2, 1), gains, strict=True))
            log += h / 6 * sum(w * g[1] for w, g in zip((1, 2, 2, 1), gains, strict=True))
        expected = float(log) + float(Normal(0.0, 1.0).log_prob(x).sum())
        assert abs(found.log[row] - expected) <= 1e-5


@pytest.mark.parametrize("key", DENSE)
def test_hutchinsons_estimate_has_the_mean_of_the_exact_trace(key: str) -> None:
    process, x_0 = PROCESSES[key], images(4)
    exact = log_density(waves(process), process, x_0, None, 1e-7)
    unit = 3**0.5 * torch.eye(3, dtype=torch.float64)  # their squares have the mean 1
    basis = [row.expand(4, 3) for row in unit]
    found = log_density(waves(process), process, x_0, basis, 1e-7)
    assert np.abs(found.log - exact.log).max() <= 1e-5
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
    found = log_density(waves(process), process, x_0, [row.expand(4, 3) for row in signs], 1e-7)
    assert np.abs(found.log - exact.log).max() <= 1e-5
    one = log_density(waves(process), process, x_0, [signs[1].expand(4, 3)], 1e-7)
    assert np.abs(one.log - exact.log).max() > 1e-3


@pytest.mark.parametrize("key", ["linear", "ve"])
def test_bits_are_those_of_grey_levels(key: str) -> None:
    process = PROCESSES[key]
    low, high = process.data_range
    dimensions = 12
    uniform = np.array([-dimensions * math.log(high - low)])
    assert bits_per_dimension(process, uniform, dimensions) == pytest.approx(8, abs=1e-12)
    twice = uniform + dimensions * math.log(2)  # half the range is never used
    assert bits_per_dimension(process, twice, dimensions) == pytest.approx(7, abs=1e-12)


class Exact:
    """A network that knows ε of pixels that are N(0, std²), given (x, t)."""

    def __init__(self, process: Process, std: float) -> None:
        self.process, self.std = process, std

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = scales(self.process, float(t[0]))
        return sigma / (alpha**2 * self.std**2 + sigma**2) * x


def test_the_bound_of_normal_pixels_is_hardly_above_their_entropy() -> None:
    process, std = Linear().process(), 0.25
    generator = torch.Generator().manual_seed(0)

    def noise() -> Tensor:
        return torch.randn((40, 3, 4, 4), generator=generator, dtype=torch.float64)

    grey = ((std * noise() + 1) * 127.5).round() / 127.5 - 1
    found = variational_bounds(Denoiser(Exact(process, std), process), process, grey, noise)
    # What N(0, std²) says of them, whose grey levels are 2/255 wide.
    own = (grey.square() / (2 * std**2)).flatten(1).mean(1) + math.log(std * (2 * math.pi) ** 0.5)
    bits = (own.numpy() + math.log(255 / 2)) / math.log(2)
    # The forward step has the variance of the reverse one where noise is little.
    assert 0 < (found["fixed_large"] - bits).mean() <= 0.05
    assert (found["fixed_small"] - bits).mean() > 0.5
    other = variational_bounds(Denoiser(Exact(process, 2 * std), process), process, grey, noise)
    assert (other["fixed_large"] - found["fixed_large"]).mean() > 0.1


def test_the_terms_of_the_bound_add_up_to_those_of_its_definition() -> None:
    process: Any = Linear(T=6, beta_end=0.3).process()
    generator = torch.Generator().manual_seed(1)
    draws = [torch.randn((2, 1, 2, 2), generator=generator, dtype=torch.float64) for _ in range(6)]
    grey = torch.randint(0, 256, (2, 1, 2, 2), generator=generator) / 127.5 - 1
    grey = grey.double()
    model = Denoiser(Exact(process, 0.5), process)
    found = variational_bounds(model, process, grey, iter(draws).__next__)["fixed_small"]
    beta = 1 - process.alpha_bar / np.append(1.0, process.alpha_bar[:-1])
    before = np.append(1.0, process.alpha_bar[:-1])
    small = (1 - before) / (1 - process.alpha_bar) * beta
    small[0] = small[1]
    nats = torch.zeros(2, dtype=torch.float64)
    for t, eps in enumerate(draws):
        x_t = process.alpha_bar[t] ** 0.5 * grey + (1 - process.alpha_bar[t]) ** 0.5 * eps
        x_0 = model(x_t, float(t)).x0

        def mean(image: Tensor, t: int = t, x_t: Tensor = x_t) -> Tensor:
            a = before[t] ** 0.5 * beta[t] / (1 - process.alpha_bar[t])
            b = (1 - beta[t]) ** 0.5 * (1 - before[t]) / (1 - process.alpha_bar[t])
            return a * image + b * x_t

        own, std = mean(x_0), small[t] ** 0.5
        if t:
            nats += ((mean(grey) - own) ** 2 / (2 * small[t])).flatten(1).sum(1)
        else:
            step = Normal(own, std)
            upper = torch.where(grey > 0.999, 1.0, step.cdf(grey + 1 / 255))
            lower = torch.where(grey < -0.999, 0.0, step.cdf(grey - 1 / 255))
            nats -= (upper - lower).clamp(min=1e-12).log().flatten(1).sum(1)
    last = Normal(process.alpha_bar[-1] ** 0.5 * grey, (1 - process.alpha_bar[-1]) ** 0.5)
    prior = torch.distributions.kl_divergence(last, Normal(torch.zeros_like(grey), 1.0))
    nats += prior.flatten(1).sum(1)
    assert found == pytest.approx((nats / (4 * math.log(2))).numpy(), abs=1e-9)


# runs

NAME = "DDPM-linear"


@pytest.fixture(scope="module")
def asked(smoke: Config) -> Config:
    """The smallest run, of one network, whose likelihood is asked for."""
    return parse_config(content_of(smoke))


def content_of(smoke: Config, **likelihood: Any) -> dict[str, Any]:
    content = filled_in(smoke)
    content["schedules"] = {"linear": {"kind": "linear", "T": 20}}
    content["models"] = {"DDPM": content["models"]["DDPM"]}
    content["grid"] = content["grid"][:1]
    content["grid"][0] |= {"schedule": "linear", "steps": [5, 10]}
    content["likelihood"] = {"model": "DDPM", "images": 7, "tolerance": 1e-2, **likelihood}
    return content


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, asked: Config) -> Run:
    run = Run(tmp_path_factory.mktemp("results") / "likelihood")
    do("prepare", asked, "tiny", run)
    do("train", asked, NAME, run)
    for cell in asked.cells:
        do("sample", asked, cell.id, run)
    do("likelihood", asked, NAME, run)
    return run


def test_the_record_has_each_set_of_images(asked: Config, measured: Run) -> None:
    assert ("likelihood", NAME) in expected_records(asked)
    section = read_record(measured.record("likelihood", NAME)).likelihoods
    assert section is not None
    assert list(section.sets) == ["training", "held-out", *(cell.id for cell in asked.cells)]
    assert section.dimensions == 3 * 16 * 16
    assert section.variance in ("fixed_small", "fixed_large")
    for found in section.sets.values():
        assert found.images == len(found.bits_each) == 7
        assert found.bits.value == pytest.approx(np.mean(found.bits_each))
        assert found.bits.low is not None
        assert found.bits.low < found.bits.value
        assert found.bound is not None
        assert found.evaluations > 10


def test_the_likelihood_is_that_of_the_images_and_their_noise_alone(
    asked: Config, measured: Run
) -> None:
    path = measured.record("likelihood", NAME)
    first = read_record(path).likelihoods
    again = do("likelihood", asked, NAME, measured).likelihoods
    assert again == first
    one = parse_config(filled_in(asked) | {"sampling_batch": 3})
    other = do("likelihood", one, NAME, measured).likelihoods
    for name in ("training", "held-out"):
        a, b = first.sets[name], other.sets[name]
        assert a.bits_each == pytest.approx(b.bits_each, abs=0.1)  # of the solver's tolerance
        assert a.bound_each == pytest.approx(b.bound_each, abs=1e-3)


def test_the_table_has_a_row_for_each_set_and_its_difference_to_held_out(measured: Run) -> None:
    table = likelihood_table(read_records(measured.root))
    assert [row["images"] for row in table.rows][:2] == ["training", "held-out"]
    assert len(table.rows) == 4
    first, held_out = table.rows[0], table.rows[1]
    assert held_out["bits_over_held_out"] is None
    over, bits, other = first["bits_over_held_out"], first["bits"], held_out["bits"]
    assert isinstance(over, Value)
    assert isinstance(bits, Value)
    assert isinstance(other, Value)
    assert over.value == pytest.approx(bits.value - other.value)
    assert over.low is not None
    assert all(FORMATS[suffix](table) for suffix in TABLE_FORMATS)


def test_a_change_of_the_settings_is_another_job(asked: Config, smoke: Config) -> None:
    spec = likelihood_job(asked, NAME).spec()
    for change in ({"images": 6}, {"tolerance": 1e-3}, {"probes": 2}, {"bound": False}):
        assert likelihood_job(parse_config(content_of(smoke, **change)), NAME).spec() != spec
    assert "benchmark.diffusion.schedules.linear" in likelihood_job(asked, NAME).modules()


def test_an_estimate_has_its_evaluations_and_backward_passes(
    asked: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.tools.network_cost.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("benchmark.tools.estimate.PROBE_SECONDS", 0.0)
    rows = estimate(asked, Run(Path("nowhere")), threads=1).rows
    [likelihood] = [row for row in rows if row.stage == "likelihood"]
    assert likelihood.images == 4 * 7
    assert not likelihood.exact
    assert (likelihood.evaluations - 20) % 3 == 0
    assert likelihood.flops


def test_a_training_tells_its_errors_by_level_and_they_are_drawn(measured: Run) -> None:
    record = read_record(measured.record("train", NAME))
    assert record.trained
    errors = record.trained.errors
    assert len(errors) == 4  # of a chain of 20 times
    assert [error.noise for error in errors] == sorted(error.noise for error in errors)
    assert all(0 < error.training.value < 3 for error in errors)
    assert len({error.held_out.value for error in errors}) == len(errors)
    figure = denoising_plot([record])
    assert figure
    assert [axes.get_title() for axes in figure.axes if axes.lines] == [NAME]
    assert denoising_plot([]) is None


@pytest.mark.parametrize("key", PROCESSES)
def test_the_error_of_an_exact_network_is_that_of_its_best_estimate(key: str) -> None:
    """Of pixels N(0, s²) the best ε̂ is σ/(α²s² + σ²) x, with the error α²s²/(α²s² + σ²)."""
    process, std = PROCESSES[key], 0.5
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double() * std
    own = process.encode(images)
    mean, spread = float(process.encode(torch.zeros(()))), float(own.std())
    for time in times_of_levels(process, FINE_LEVELS):
        alpha, sigma = scales(process, time)

        factor = float(process.input_scale(np.float64(time)))

        def exact(x: Tensor, t: Tensor, a=alpha, s=sigma, f=factor) -> Tensor:  # type: ignore[no-untyped-def]
            x_t = x / f
            return s / ((a * spread) ** 2 + s**2) * (x_t - a * mean)

        generator = torch.Generator().manual_seed(1)
        found = denoising_error(exact, process, "eps", time, images, generator)
        expected = (alpha * spread) ** 2 / ((alpha * spread) ** 2 + sigma**2)
        assert found.shape == (64,)
        assert float(found.mean()) == pytest.approx(expected, rel=0.1)


# what does not fit


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ({"model": "DPM"}, "likelihood.model: no 'DPM': did you mean 'DDPM'"),
        ({"images": 2}, "likelihood.images"),
        ({"probes": -1}, "likelihood.probes"),
        ({"model": ["DDPM", "DDPM"]}, "likelihood: model: one is named twice"),
        ({"tolerance": 0}, "likelihood.tolerance"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    smoke: Config, likelihood: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchmarkError, match=re.escape(message)):
        parse_config(content_of(smoke, **likelihood))


def test_too_many_dimensions_for_the_exact_trace_are_refused(smoke: Config) -> None:
    content = content_of(smoke, probes=0)
    assert parse_config(content).likelihood
    content["data"]["tiny"]["resolution"] = 32
    with pytest.raises(BenchmarkError, match=r"likelihood.probes: 0 of them .* 3072"):
        parse_config(content)


def test_a_process_without_density_is_refused(smoke: Config) -> None:
    content = content_of(smoke)
    content["grid"][0] |= {"schedule": "geometric", "sampler": "annealed-langevin", "steps": 10}
    content["schedules"] = {"geometric": {"kind": "geometric", "levels": 10}}
    del content["training"]["short"]["learned_variance"]
    with pytest.raises(BenchmarkError, match=r"likelihood.model: models.DDPM has .* no density"):
        parse_config(content)


def test_a_model_that_is_not_sampled_is_refused(smoke: Config, tmp_path: Path) -> None:
    content = content_of(smoke, model="other")
    content["models"]["other"] = content["models"]["DDPM"]
    with pytest.raises(BenchmarkError, match=r"no block of the grid samples models.other"):
        parse_config(content)
    content["models"]["other"] = {"family": "GAN", "data": "tiny", "images": str(tmp_path)}
    content["grid"].append({"table": "t", "model": "other", "samples": 4})
    with pytest.raises(BenchmarkError, match=r"models.other.images were made elsewhere"):
        parse_config(content)
