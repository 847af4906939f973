"""Methods must answer as the exact posterior of known data does, or with their known bias."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from analytic import ON_PATHS, PROCESSES
from posteriors import (
    SHAPE,
    Exact,
    Gaussian,
    affine_answers,
    class_shares,
    sampled_answers,
)
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.methods import METHODS
from benchmark.diffusion.operators import OPERATORS, Operator
from benchmark.diffusion.processes.base import Process, exact_chain, levels
from benchmark.diffusion.question import Question
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES

OPERATORS_ASKED: dict[str, Operator] = {
    "inpaint": OPERATORS.make("inpaint", mask="half"),
    "super-resolution": OPERATORS.make("super-resolution", factor=2),
    "colourise": OPERATORS.make("colourise"),
    "denoise": OPERATORS.make("denoise"),
    "deblur": OPERATORS.make("deblur", width=0.8, noise=0.2),
}
INDEPENDENT, CORRELATED = Gaussian.of(0.0), Gaussian.of(0.9)
PIGDM = METHODS.make("pigdm", data_std=0.5)
SOME = ["linear", "ve", "sub-vp", "edm", "flow"]
GUIDED = [name for name in ON_PATHS if not SAMPLERS.get(name).adaptive]


@pytest.mark.parametrize("key", PROCESSES)
@pytest.mark.parametrize("name", OPERATORS_ASKED)
def test_is_the_estimate_of_pigdm_that_of_the_posterior_of_independent_pixels(
    name: str, key: str
) -> None:
    operator, process, truth = OPERATORS_ASKED[name], PROCESSES[key], INDEPENDENT.draw(1)
    y = operator.forward(truth)
    posterior = INDEPENDENT.answers(operator, y)
    exact = Gaussian(posterior.mean[0], posterior.covariance).model(process)
    times = SAMPLERS.make("ddim").plan(process, 5)
    question = Question.of(operator, y, process)
    guided = PIGDM.steer(INDEPENDENT.model(process), process, question, times, noise_of(1))
    for t, z in zip(times.tolist(), torch.linspace(-2, 2, 5).double(), strict=True):
        x = process.encode(truth) + float(process.sigma(t)) * z
        assert torch.allclose(guided(x, t).x0, exact(x, t).x0, atol=1e-9), t


@pytest.mark.parametrize("name", GUIDED)
def test_does_every_sampler_of_a_grid_answer_as_if_it_sampled_the_posterior(name: str) -> None:
    langevin = name == "annealed-langevin"
    process = SCHEDULES.make("geometric").process() if langevin else PROCESSES["vp"]
    sampler, operator, truths = SAMPLERS.make(name), OPERATORS.make("denoise"), INDEPENDENT.draw(1)
    posterior = INDEPENDENT.answers(operator, truths)
    times = sampler.plan(process, 20)
    question = Question.of(operator, truths, process)
    ends = []
    for model, method in [
        (INDEPENDENT.model(process), PIGDM),
        (Gaussian(posterior.mean[0], posterior.covariance).model(process), None),
    ]:
        noise = noise_of(1)
        x_T = process.prior(noise())
        steered = method.steer(model, process, question, times, noise) if method else model
        ends.append(sampler.sample(steered, process, x_T, times, noise))
    assert torch.allclose(*ends, rtol=1e-8, atol=1e-8)


def test_does_pigdm_sample_the_posterior_of_independent_pixels() -> None:
    operator, truths = OPERATORS_ASKED["deblur"], INDEPENDENT.draw(2)
    exact = INDEPENDENT.answers(operator, operator.forward(truths))
    heun, vp = SAMPLERS.make("heun"), PROCESSES["vp"]
    found = affine_answers(INDEPENDENT, operator, PIGDM, heun, vp, 40, truths)
    off, spread = found.error(exact)
    assert off < 0.01
    assert spread == pytest.approx(1, abs=0.02)
    assert torch.allclose(found.covariance, exact.covariance, atol=5e-3)


def test_is_pigdm_biased_with_another_standard_deviation_than_that_of_the_data() -> None:
    operator, truths = OPERATORS_ASKED["denoise"], INDEPENDENT.draw(2)
    exact = INDEPENDENT.answers(operator, operator.forward(truths))
    heun, vp = SAMPLERS.make("heun"), PROCESSES["vp"]
    method = METHODS.make("pigdm")
    off, _ = affine_answers(INDEPENDENT, operator, method, heun, vp, 50, truths).error(exact)
    assert off > 0.1


@pytest.mark.parametrize("key", ["linear", "ve", "flow"])
def test_is_replacement_biased_where_pixels_are_correlated(key: str) -> None:
    operator, sampler = OPERATORS_ASKED["inpaint"], SAMPLERS.make("ddpm")
    replacement = METHODS.make("replacement")
    repaint = METHODS.make("repaint", jump_length=1, resamplings=4)
    offs = []
    for data, method in [
        (INDEPENDENT, replacement),
        (CORRELATED, replacement),
        (CORRELATED, repaint),
    ]:
        truths = data.draw(4)
        exact = data.answers(operator, operator.forward(truths))
        found = affine_answers(data, operator, method, sampler, PROCESSES[key], 40, truths)
        offs.append(found.error(exact)[0])
    independent, correlated, repainted = offs
    assert independent < 0.01
    assert correlated > 0.3
    assert repainted < 0.6 * correlated


@pytest.mark.parametrize(
    ("name", "least", "most"), [("pigdm", 0.9, 0.97), ("dps", 0.6, 0.85), ("replacement", 0.4, 0.6)]
)
def test_which_classes_of_a_mixture_the_answers_have(name: str, least: float, most: float) -> None:
    """Of the prior 0.3 the exact posterior makes 0.948: replacement hardly hears what is given."""
    exact, found = class_shares(name, 0.1)
    assert exact == pytest.approx(0.948, abs=1e-3)
    assert least < found < most


def noise_of(count: int, seed: int = 0) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64)


class Wavy(Exact):
    """Exact for Gaussian pixels, with waves on it, so that its gradient varies."""

    def __init__(self, process: Process) -> None:
        exact = INDEPENDENT.model(process)
        super().__init__(process, lambda x, a, s: exact.x0(x, a, s) + 0.1 * (2 * x).sin())


@pytest.mark.parametrize("key", ["linear", "ve"])
def test_does_dps_with_ddpm_follow_algorithm_1(key: str) -> None:
    process, operator = PROCESSES[key], OPERATORS_ASKED["super-resolution"]
    sampler = SAMPLERS.make("ddpm")
    times = sampler.plan(process, 12)
    question = Question.of(operator, operator.forward(INDEPENDENT.draw(3)), process)
    model, noise = Wavy(process), noise_of(3)
    x = x_T = process.prior(noise())
    steered = METHODS.make("dps", zeta=0.7).steer(model, process, question, times, noise)
    found = sampler.sample(steered, process, x_T, times, noise)

    alpha, sigma = levels(process, times)
    a, g = exact_chain(process, times)
    noise, zeta = noise_of(3), 0.7 * (process.data_range[1] - process.data_range[0]) / 2
    noise()
    for i, t in enumerate(times.tolist()):
        leaf = x.detach().requires_grad_()
        x0 = model(leaf, t).x0
        norm = question.residual(x0).flatten(1).norm(dim=1).sum()
        (gradient,) = torch.autograd.grad(norm, leaf)
        mean = (
            alpha[i + 1] * (g[i] / sigma[i]) ** 2 * x0 + a[i] * (sigma[i + 1] / sigma[i]) ** 2 * x
        )
        x = mean.detach() - zeta * gradient  # line 7
        if i + 1 < len(times):
            x = x + g[i] * sigma[i + 1] / sigma[i] * noise()
    assert torch.allclose(found, x, rtol=1e-9, atol=1e-9)


def test_is_dps_no_posterior_whatever_the_steps() -> None:
    operator, truth = OPERATORS_ASKED["denoise"], INDEPENDENT.draw(1)
    exact = INDEPENDENT.answers(operator, truth)
    y, vp = truth.expand(400, *SHAPE), PROCESSES["vp"]
    stds = [
        float(
            sampled_answers(
                INDEPENDENT, operator, METHODS.make("dps"), SAMPLERS.make("ddpm"), vp, steps, y
            )
            .var(0)
            .mean()
            .sqrt()
        )
        for steps in (20, 80)
    ]
    assert stds[1] < 0.8 * stds[0]
    assert stds[1] < 0.7 * float(exact.covariance.diagonal().mean().sqrt())


class Network(nn.Module):
    """Predicts ε of normal pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.eye_(self.conv.weight[..., 0, 0])

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return 0.7 * self.conv(x)


@pytest.mark.parametrize(
    ("name", "evaluations"), [("pigdm", 20), ("dps", 20), ("replacement", 10), ("repaint", 46)]
)
def test_how_many_evaluations_ten_steps_take(name: str, evaluations: int) -> None:
    process, sampler = SCHEDULES.make("linear").process(), SAMPLERS.make("ddpm")
    options = {"jump_length": 2, "resamplings": 7 - 2} if name == "repaint" else {}
    method = METHODS.make(name, **options)
    times = sampler.plan(process, 10)
    operator = OPERATORS_ASKED["inpaint"]
    truths = INDEPENDENT.draw(3).float()
    question = Question.of(operator, operator.forward(truths), process)
    model = Denoiser(Network(), process)
    if name == "repaint":  # 4 parts of 2 steps, of which each is walked 5 times, and 2 more steps
        evaluations = 4 * 2 * 5 + 2
    with torch.inference_mode():  # as samplers run
        noise = noise_of(3)
        x_T = process.prior(noise().float())
        steered = method.steer(model, process, question, times, lambda: noise().float())
        x_0 = sampler.sample(steered, process, x_T, times, lambda: noise().float())
        answers = method.finish(x_0, question)
    assert model.evaluations == 3 * evaluations
    assert answers.isfinite().all()
    if name in ("replacement", "repaint"):
        assert torch.allclose(operator.forward(answers), question.y, atol=1e-6)


@pytest.mark.parametrize("name", ["pigdm", "dps"])
def test_starts_guidance_at_noise_alone(name: str) -> None:
    process = PROCESSES["flow"]
    assert process.alpha(process.t_max) == 0
    operator = OPERATORS_ASKED["inpaint"]
    y = operator.forward(INDEPENDENT.draw(2))
    method = METHODS.make(name)
    found = sampled_answers(INDEPENDENT, operator, method, SAMPLERS.make("ddim"), process, 5, y)
    assert found.isfinite().all()


@pytest.mark.parametrize("name", METHODS.names())
@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_does_a_method_suit_a_sampler_or_refuse_it_in_one_line(name: str, sampler: str) -> None:
    method, made = METHODS.make(name), SAMPLERS.make(sampler)
    takes_state = {
        *("ddpm", "ddim", "euler-ancestral", "euler-maruyama"),
        *("predictor-corrector", "annealed-langevin"),
    }
    once = takes_state - {"predictor-corrector", "annealed-langevin"}
    defined = {
        "replacement": takes_state,
        "repaint": once,
        "pigdm": {*GUIDED},
        "dps": {*GUIDED},
    }
    if sampler in defined[name]:
        method.check(made, OPERATORS_ASKED["inpaint"], 20)
        return
    with pytest.raises(BenchmarkError) as refused:
        method.check(made, OPERATORS_ASKED["inpaint"], 20)
    assert "\n" not in str(refused.value)
    assert sampler in str(refused.value)


def test_what_replacement_says_of_samplers_and_noise() -> None:
    with pytest.raises(BenchmarkError) as refused:
        METHODS.make("replacement").check(SAMPLERS.make("heun"), OPERATORS_ASKED["inpaint"], 20)
    assert str(refused.value) == (
        "method: replacement changes the state, and heun takes its steps from more than that: "
        "choose a sampler of annealed-langevin, ddim, ddpm, euler-ancestral, euler-maruyama, "
        "predictor-corrector, or the method pigdm or dps"
    )
    with pytest.raises(BenchmarkError) as refused:
        METHODS.make("repaint").check(SAMPLERS.make("ddpm"), OPERATORS_ASKED["denoise"], 20)
    assert str(refused.value) == (
        "method: repaint takes what is given as exact, and denoise has noise 0.5: choose pigdm or "
        "dps, or an operator with noise: 0"
    )
    with pytest.raises(BenchmarkError, match=r"^method: jump_length 10 is not below the 10 steps"):
        METHODS.make("repaint").check(SAMPLERS.make("ddpm"), OPERATORS_ASKED["inpaint"], 10)


def test_is_the_state_that_a_sampler_takes_that_of_the_estimate() -> None:
    """A model that replaces states must steer each sampler that says that it takes them."""
    for name in [name for name, sampler in SAMPLERS.classes.items() if sampler.takes_state]:
        process = (
            SCHEDULES.make("geometric").process()
            if name == "annealed-langevin"
            else PROCESSES["vp"]
        )
        sampler = SAMPLERS.make(name)
        times = sampler.plan(process, 10)
        model = INDEPENDENT.model(process)

        def constant(x: Tensor, t: float, model: Exact = model) -> object:
            return model(torch.zeros_like(x), t)

        ends = [
            sampler.sample(constant, process, start, times, lambda: torch.zeros(1, *SHAPE))
            for start in (torch.zeros(1, *SHAPE).double(), torch.ones(1, *SHAPE).double())
        ]
        assert torch.equal(*ends), name


class Schedule(nn.Module):
    """α and σ of a process, as azula asks for them."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process = process

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.process.alpha(float(t)), self.process.sigma(float(t))
        return tuple(torch.tensor(c, dtype=torch.float64) for c in (alpha, sigma))


class AsAzula:
    """A sampler of azula and one of ours on one model, one question and the same noise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        denoise = pytest.importorskip("azula.denoise")
        self.process, self.sampler = PROCESSES["vp"], SAMPLERS.make("ddpm")
        self.operator = OPERATORS_ASKED["inpaint"]
        # one image, as azula takes the norm of a whole batch
        self.y = self.operator.forward(INDEPENDENT.draw(1))
        self.times = self.sampler.plan(self.process, 8)
        self.model = model = Wavy(self.process)

        class Peer(denoise.Denoiser):
            def forward(self, x: Tensor, t: Tensor) -> object:
                return denoise.DiracPosterior(mean=model(x, float(t)).x0)

        self.peer = Peer()
        self.peer.schedule = Schedule(self.process)
        self.drawn = noise_of(1)
        monkeypatch.setattr(torch, "randn_like", lambda x: self.drawn())

    def states(self, peer: object, x_T: Tensor) -> list[Tensor]:
        """Return the states of a sampler of azula at all times."""
        found = [x_T]
        for t, s in zip(self.times[:-1], self.times[1:], strict=True):
            found.append(peer.step(found[-1], torch.tensor(t), torch.tensor(s)))
        return found

    def steered(self, name: str, noise: Callable[[], Tensor], **options: object) -> object:
        question = Question.of(self.operator, self.y, self.process)
        method = METHODS.make(name, **options)
        return method.steer(self.model, self.process, question, self.times, noise)


def test_takes_dps_the_steps_of_azula(monkeypatch: pytest.MonkeyPatch) -> None:
    guidance = pytest.importorskip("azula.guidance")
    both, x_T = AsAzula(monkeypatch), noise_of(1, 7)()
    peer = guidance.DPSSampler(both.peer, both.y, both.operator.forward, zeta=0.7)
    theirs, noise, ours = both.states(peer, x_T), noise_of(1), []
    steered = both.steered("dps", noise, zeta=0.7)
    both.sampler.sample(
        steered, both.process, x_T, both.times, noise, lambda i, t, x, x0: ours.append(x)
    )
    assert len(ours) == len(theirs) == 8
    for mine, his in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, his, rtol=1e-9, atol=1e-9)


def test_takes_repaint_the_steps_of_azula(monkeypatch: pytest.MonkeyPatch) -> None:
    guidance = pytest.importorskip("azula.guidance")
    both, x_T = AsAzula(monkeypatch), noise_of(1, 7)()
    given = torch.from_numpy(~both.operator.hides(2))
    peer = guidance.RePaintSampler(both.peer, both.y, given, iterations=3, eta=1.0)
    theirs, ours, seen = both.states(peer, x_T), noise_of(1), []
    kept = both.model

    def watched(x: Tensor, t: float) -> object:
        seen.append((t, x))
        return kept(x, t)

    question = Question.of(both.operator, both.y, both.process)
    method = METHODS.make("repaint", jump_length=1, resamplings=3)
    drawn = itertools.count(1)

    def noise() -> Tensor:
        z = ours()
        if next(drawn) % 8 == 0:  # azula noises the state anew after the last walk, too, in vain
            ours()
        return z

    steered = method.steer(watched, both.process, question, both.times, noise)
    both.sampler.sample(steered, both.process, x_T, both.times, noise)
    first = [next(x for at, x in seen if at == t) for t in both.times.tolist()]
    for mine, his in zip(first, theirs, strict=True):
        assert torch.allclose(mine, his, rtol=1e-9, atol=1e-9)


def test_goes_pigdm_into_the_direction_of_azula(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of azula's adds the gradient with the weight of the paper's algorithm 1, α_s α_t."""
    guidance = pytest.importorskip("azula.guidance")
    sample = pytest.importorskip("azula.sample")
    both, x = AsAzula(monkeypatch), noise_of(1, 7)()
    inverse = both.operator.pseudo_inverse
    peer = guidance.PGDMSampler(both.peer, both.y, both.operator.forward, inverse, eta=0.0)
    plain = sample.DDIMSampler(both.peer, eta=0.0)
    steered = both.steered("pigdm", noise_of(1))
    for t, s in zip(both.times[:-1], both.times[1:], strict=True):
        ends = [each.step(x, torch.tensor(t), torch.tensor(s)) for each in (peer, plain)]
        alpha, sigma = (float(f(t)) for f in (both.process.alpha, both.process.sigma))
        gradient = (ends[0] - ends[1]) / (float(both.process.alpha(s)) * alpha)
        moved = steered(x, float(t)).x0 - both.model(x, float(t)).x0
        r2 = sigma**2 / (alpha**2 + sigma**2)
        assert torch.allclose(moved, sigma**2 / alpha / r2 * gradient, rtol=1e-8, atol=1e-8)
        x = ends[0]
