from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from analytic import ON_PATHS, PATHS, PROCESSES, gaussian
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.denoiser import Denoiser, Estimate, estimate_from
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.linear import Linear

SHAPE = (3, 4, 4)
PAIRS = [
    (name, kind)
    for name in ON_PATHS
    for kind in PATHS
    if SAMPLERS.get(name).is_defined_for(SCHEDULES.make(kind).process())
]


class Halver(nn.Module):
    """A stand-in for a network, which counts its calls and keeps the times that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        self.calls += 1
        return x / 2


def sample(
    name: str, process: Process, steps: int, indices: range, **options: object
) -> tuple[Tensor, Denoiser]:
    sampler = SAMPLERS.make(name, **options)
    # at α = 0 noise says nothing of the image
    model = Denoiser(Halver(), process, "eps" if process.alpha(process.t_max) else "velocity")
    noise = NoiseStream(0, indices, SHAPE, dtype=torch.float64)
    grid = sampler.plan(process, steps)
    x_T = process.prior(noise())
    return sampler.sample(model, process, x_T, grid, noise), model


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_sample_is_the_same_whatever_its_batch(name: str, kind: str) -> None:
    process = SCHEDULES.make(kind).process()
    whole, _ = sample(name, process, 10, range(4))
    parts = [sample(name, process, 10, half)[0] for half in (range(1), range(1, 4))]
    assert whole.isfinite().all()
    assert torch.allclose(whole, torch.cat(parts), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "kind", "options", "evaluations"),
    [
        ("ddpm", "linear", {}, 10),
        ("ddim", "linear", {}, 10),
        ("dpm-solver++", "linear", {}, 10),
        ("dpm-solver++3m", "linear", {}, 10),
        ("sde-dpm-solver++", "linear", {}, 10),
        ("unipc", "linear", {}, 10),
        ("deis", "linear", {}, 10),
        ("ipndm", "linear", {}, 10),
        ("dpm-solver++2s", "linear", {}, 10),
        ("euler-ancestral", "linear", {}, 10),
        ("heun", "linear", {}, 19),
        ("midpoint", "linear", {}, 19),
        ("stochastic-heun", "linear", {}, 19),
        ("rk4", "linear", {}, 37),
        ("pndm", "linear", {}, 19),
        ("pndm", "linear", {"skip_prk_steps": True}, 11),
        ("euler-maruyama", "vp", {}, 10),
        ("annealed-langevin", "geometric", {}, 10),
        ("annealed-langevin", "geometric", {"denoise": True}, 11),
        ("predictor-corrector", "ve", {}, 20),
        ("predictor-corrector", "ve", {"corrections": 3}, 40),
        ("predictor-corrector", "ve", {"order": "predictor-first"}, 19),
    ],
)
def test_how_many_evaluations_ten_steps_take(
    name: str, kind: str, options: dict[str, object], evaluations: int
) -> None:
    _, model = sample(name, SCHEDULES.make(kind).process(), 10, range(3), **options)
    assert model.network.calls == evaluations
    assert model.evaluations == 3 * evaluations


def test_adaptive_solver_takes_more_evaluations_to_be_more_exact() -> None:
    counts = [
        sample("probability-flow", PROCESSES["vp"], 2, range(2), atol=tol, rtol=tol)[1].evaluations
        for tol in (1e-2, 1e-4, 1e-6)
    ]
    assert 2 * 14 <= counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("name", ON_PATHS)
def test_does_the_callback_see_every_step(name: str) -> None:
    process = PROCESSES[{"annealed-langevin": "levels"}.get(name, "vp")]
    sampler = SAMPLERS.make(name)
    grid = sampler.plan(process, 300)
    x_T = torch.ones(2, 3, dtype=torch.float64)
    seen: list[tuple[int, float]] = []

    def look(i: int, t: float, x_t: Tensor, x0_hat: Tensor) -> None:
        assert x_t.shape == x0_hat.shape == x_T.shape
        seen.append((i, t))

    sampler.sample(gaussian(process), process, x_T, grid, lambda: torch.randn_like(x_T), look)
    expected = list(enumerate(grid.tolist()))
    assert seen == (expected[-1:] if name == "probability-flow" else expected)


@pytest.mark.parametrize("name", ON_PATHS)
def test_does_a_sampler_leave_its_start_alone(name: str) -> None:
    process = PROCESSES[{"annealed-langevin": "levels"}.get(name, "vp")]
    x_T = torch.ones(2, 3, dtype=torch.float64)
    sampler = SAMPLERS.make(name)
    grid = sampler.plan(process, 300)
    sampler.sample(gaussian(process), process, x_T, grid, lambda: torch.randn_like(x_T))
    assert torch.equal(x_T, torch.ones_like(x_T))


def matrix_process(name: str, kind: str) -> Process:
    """Return the process of a schedule with levels as its samplers need them.

    Annealed Langevin dynamics is for the paper's ten levels. Samplers that take each level once
    need more of them.
    """
    many = {"levels": 200, "sigma_max": 10.0}
    options = many if kind == "geometric" and name != "annealed-langevin" else {}
    return SCHEDULES.make(kind, **options).process()


@pytest.mark.parametrize("name", ON_PATHS)
@pytest.mark.parametrize("kind", PATHS)
def test_does_every_sampler_end_at_the_data_or_refuse_in_one_line(name: str, kind: str) -> None:
    process = matrix_process(name, kind)
    sampler = SAMPLERS.make(name)
    if not sampler.is_defined_for(process):
        with pytest.raises(BenchmarkError) as refused:
            sampler.plan(process, 200)
        assert str(refused.value) == (
            f"sampler: {name} is not defined for a {process.family} process: "
            f"it is for {', '.join(sampler.families or ())}"
        )
        return
    grid = sampler.plan(process, 1000 if name == "annealed-langevin" else 200)
    generator = torch.Generator().manual_seed(0)

    def noise() -> Tensor:
        return torch.randn(20, 200, generator=generator, dtype=torch.float64)

    model = gaussian(process, torch.tensor(0.4), torch.tensor(0.3**2))
    x_T = process.prior(noise())
    x_0 = sampler.sample(model, process, x_T, grid, noise)
    assert float(x_0.mean()) == pytest.approx(0.4, abs=0.02)
    assert float(x_0.std()) == pytest.approx(0.3, rel=0.08)


@given(steps=st.integers(-5, 30))
def test_are_impossible_step_counts_refused(steps: int) -> None:
    process = Linear(T=20).process()
    if 1 <= steps <= 20:
        assert len(SAMPLERS.make("ddim").plan(process, steps)) == steps
        return
    with pytest.raises(BenchmarkError, match=r"^steps: "):
        SAMPLERS.make("ddim").plan(process, steps)


@pytest.mark.parametrize("name", ["unipc", "deis", "ipndm"])
def test_is_an_order_refused_that_the_steps_do_not_reach(name: str) -> None:
    process = Linear().process()
    sampler = SAMPLERS.make(name, solver_order=3)
    with pytest.raises(BenchmarkError) as refused:
        sampler.plan(process, 2)
    assert str(refused.value) == (
        f"steps: 2 do not reach the solver_order 3 of {name}: take at least 3, or solver_order: 2"
    )
    assert len(sampler.plan(process, 3)) == 3
    assert len(SAMPLERS.make(name).plan(process, 1)) == 1  # the default is lowered
    with pytest.raises(BenchmarkError, match=r"^steps: 0 steps sample nothing"):
        sampler.plan(process, 0)


def test_are_sampler_options_read_from_a_config() -> None:
    sampler = SAMPLERS.get("ddim").model_validate({"kind": "ddim", "spacing": "trailing"})
    assert sampler.model_dump() == {"kind": "ddim", "spacing": "trailing", "eta": 0.0}
    assert sampler.plan(Linear().process(), 2).tolist() == [999, 499]


@pytest.mark.parametrize(
    ("name", "spacing"),
    [("ddim", "repeat"), ("heun", "repeat"), ("ddpm", "even"), ("annealed-langevin", "even")],
)
def test_is_a_spacing_refused_that_the_sampler_cannot_take(name: str, spacing: str) -> None:
    with pytest.raises(ValidationError):
        SAMPLERS.make(name, spacing=spacing)


# Both take steps that are even in continuous time, whatever the times are.
@pytest.mark.parametrize("name", ["predictor-corrector", "probability-flow"])
@pytest.mark.parametrize("kind", ["ve", "vp", "sub-vp"])
def test_is_a_spacing_refused_whose_steps_the_sampler_would_not_take(name: str, kind: str) -> None:
    process = SCHEDULES.make(kind).process()
    with pytest.raises(BenchmarkError) as refused:
        SAMPLERS.make(name, spacing="karras").plan(process, 10)
    assert str(refused.value) == (
        f"spacing: {name} on a {kind} process is not defined for karras: choose linspace"
    )
    for spacing in ("linspace", None):
        assert len(SAMPLERS.make(name, spacing=spacing).plan(process, 10)) == 10


NOISE = torch.randn(4, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ON_LEVELS = [name for name, kind in PAIRS if kind == "geometric"]


def first_state(name: str, **options: object) -> Tensor:
    """Return the state at which a sampler evaluates the network first, on an NCSN's levels."""
    process = SCHEDULES.make("geometric").process()
    sampler = SAMPLERS.make(name, **options)
    seen: list[Tensor] = []

    def model(x: Tensor, t: float) -> Estimate:
        seen.append(x)
        return estimate_from("eps", x / 2, x, 1.0, float(process.sigma(t)))

    times = sampler.plan(process, 10)
    x_T = process.prior(NOISE)
    sampler.sample(model, process, x_T, times, lambda: NOISE)
    return seen[0]


@pytest.mark.parametrize("name", ON_LEVELS)
def test_do_samplers_of_an_ncsn_start_from_normal_noise_but_for_langevin(name: str) -> None:
    values = first_state(name).flatten().sort().values
    even = (torch.arange(len(values)) + 0.5) / len(values)
    expected = even if name == "annealed-langevin" else 0.5 + torch.special.ndtri(even.double())
    middle = slice(100, -100)  # of quantiles; the outermost vary
    atol = 0.05 if name == "annealed-langevin" else 0.1
    assert torch.allclose(values[middle], expected[middle].double(), atol=atol)


def test_can_langevin_start_from_normal_noise_too() -> None:
    assert torch.equal(first_state("annealed-langevin", start="normal"), 0.5 + NOISE)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ddim", {"eta": -0.1}),
        ("ddim", {"eta": 1.1}),
        ("ddpm", {"variance": "learned"}),
        ("annealed-langevin", {"step_size": 0.0}),
        ("annealed-langevin", {"start": "zero"}),
        ("dpm-solver++", {"final_sigmas_type": "zeros"}),
        ("unipc", {"solver_order": 0}),
        ("unipc", {"solver_order": 5}),
        ("unipc", {"solver_type": "bh3"}),
        ("deis", {"solver_order": 0}),
        ("deis", {"solver_order": 4}),
        ("deis", {"final_sigmas_type": "zeros"}),
        ("ipndm", {"solver_order": 0}),
        ("ipndm", {"solver_order": 5}),
        ("unipc", {"disable_corrector": [-1]}),
        ("euler-ancestral", {"eta": 1.1}),
        ("dpm-solver++2s", {"final_sigmas_type": "zeros"}),
        ("stochastic-heun", {"s_churn": -1.0}),
        ("stochastic-heun", {"s_min": 1.0, "s_max": 1.0}),
        ("stochastic-heun", {"s_min": 60.0}),
        ("stochastic-heun", {"s_noise": 0.0}),
        ("predictor-corrector", {"snr": 0.0}),
        ("predictor-corrector", {"corrections": -1}),
        ("predictor-corrector", {"order": "corrector"}),
        ("probability-flow", {"rtol": 0.0}),
        ("probability-flow", {"method": "Euler"}),
    ],
)
def test_is_an_option_refused_that_makes_no_sampler(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SAMPLERS.make(name, **options)


def test_is_a_range_without_levels_refused_since_no_noise_would_be_added() -> None:
    stated = SAMPLERS.make("stochastic-heun", s_min=30.0)
    with pytest.raises(BenchmarkError, match=r"^sampler: no level of 2 steps, 80 to 0.002, is"):
        stated.plan(SCHEDULES.make("edm").process(), 2)
    assert len(stated.plan(SCHEDULES.make("edm").process(), 18)) == 18
    by_default = SAMPLERS.make("stochastic-heun")  # which takes what there is
    assert len(by_default.plan(SCHEDULES.make("edm").process(), 2)) == 2


def test_does_reading_a_config_stay_free_of_torch() -> None:
    code = (
        "import sys; from benchmark.diffusion.losses import LOSSES;"
        "from benchmark.diffusion.samplers import SAMPLERS;"
        "from benchmark.diffusion.schedules import SCHEDULES;"
        "assert LOSSES.names() and SAMPLERS.names() and SCHEDULES.names();"
        "sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
