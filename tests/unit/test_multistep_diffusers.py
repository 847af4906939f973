"""Plans and steps of multistep solvers, held to the schedulers of diffusers in double precision."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from test_samplers_diffusers import Wave, largest_difference, noise_from, trajectory, with_table_of
from torch import Tensor

from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.processes.base import Array
from benchmark.diffusion.processes.discrete_vp import DiscreteVP
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules.cosine import Cosine
from benchmark.diffusion.schedules.linear import Linear

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BETA_SCHEDULES = {"linear": Linear().process(), "squaredcos_cap_v2": Cosine().process()}
SCHEDULERS = {"dpm-solver++": "DPMSolverMultistepScheduler", "unipc": "UniPCMultistepScheduler"}
ALL_SCHEDULERS = {
    **SCHEDULERS,
    "deis": "DEISMultistepScheduler",  # which ends at the least noise
    "dpm-solver++2s": "DPMSolverSinglestepScheduler",
}
# Numbers of steps for which diffusers' plan is even, ends above t = -1 and repeats no time.
STEPS = {
    "leading": (3, 4, 7, 9, 19, 24, 199, 999),
    "linspace": (1, 2, 5, 10, 20, 50, 333, 999),
    "trailing": (1, 2, 5, 10, 20, 50, 333, 1000),
    "karras": (2, 5, 10, 20, 50),
}


@pytest.fixture(autouse=True)
def _double() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def scheduler_of(name: str, betas: str, spacing: str, steps: int, **options: object) -> Any:
    """Return diffusers' scheduler, whose plan is of its own making from the same table of ᾱ."""
    import diffusers

    times = {"use_karras_sigmas": True} if spacing == "karras" else {"timestep_spacing": spacing}
    if name == "dpm-solver++2s" and spacing == "linspace":
        times = {}  # its only one
    kind = getattr(diffusers, ALL_SCHEDULERS[name])
    theirs = with_table_of(BETA_SCHEDULES[betas], kind(beta_schedule=betas, **times, **options))
    theirs.set_timesteps(steps)
    theirs.set_begin_index(0)
    return theirs


def grid_of(name: str, process: DiscreteVP, spacing: str, steps: int) -> Array:
    return SAMPLERS.make(name, spacing=spacing).plan(process, steps)


def sigmas_of(process: DiscreteVP, grid: Array, final: str) -> Array:
    """Return σ/α of the times and of the end, with nothing from the solvers."""
    sigma = np.sqrt(1 / process.alpha_bar - 1)
    between = np.exp(np.interp(grid, np.arange(len(sigma)), np.log(sigma)))
    return np.append(between, 0.0 if final == "zero" else sigma[0])


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("betas", BETA_SCHEDULES)
@pytest.mark.parametrize("spacing", STEPS)
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_the_plan_is_that_of_diffusers(name: str, betas: str, spacing: str, final: str) -> None:
    process = BETA_SCHEDULES[betas]
    for steps in STEPS[spacing]:
        theirs = scheduler_of(name, betas, spacing, steps, final_sigmas_type=final)
        grid = grid_of(name, process, spacing, steps)
        sigmas = sigmas_of(process, grid, final)
        assert np.allclose(sigmas, theirs.sigmas.numpy(), rtol=1e-5, atol=0), steps
        # Between the levels our networks are told the time between them; theirs a whole one.
        assert np.abs(grid - theirs.timesteps.numpy()).max() < 1, steps
        assert spacing == "karras" or grid.tolist() == theirs.timesteps.tolist(), steps


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("spacing", ["leading", "linspace"])
@pytest.mark.parametrize("steps", [499, 500, 998, 999, 1000])
def test_a_plan_near_all_times_begins_at_the_noise_and_repeats_none(
    name: str, spacing: str, steps: int
) -> None:
    """Where diffusers 0.42.1 begins at 998 or 500, or has a time twice, which makes NaN of all."""
    grid = grid_of(name, Linear().process(), spacing, steps)
    assert len({*grid.tolist()}) == steps
    assert grid[0] >= 997
    states = trajectory(name, Linear().process(), grid, clip=False)
    assert all(state.isfinite().all() for state in states)


def test_the_default_is_the_plan_that_ends_before_the_first_time() -> None:
    expected = [999, 899, 799, 699, 599, 500, 400, 300, 200, 100]
    for name in ALL_SCHEDULERS:
        assert SAMPLERS.make(name).plan(Linear().process(), 10).tolist() == expected


def states_of(
    theirs: Any, process: DiscreteVP, grid: Array, count: int, noise: Any = None
) -> list[Tensor]:
    """Return the first states of diffusers' loop; the network is told the times of our plan."""
    draws = {"variance_noise": noise()} if noise else {}
    # In double precision: set_timesteps rounds them to single.
    theirs.sigmas = torch.tensor(
        sigmas_of(process, grid, theirs.config.get("final_sigmas_type", "sigma_min"))
    )
    states = [noise_from(0)()]
    for t, told in itertools.islice(zip(theirs.timesteps, grid, strict=True), count - 1):
        output = Wave(process)(states[-1], torch.tensor(told).expand(2))
        states.append(theirs.step(output, t, states[-1], **draws).prev_sample)
        draws = {"variance_noise": noise()} if noise else {}
    return states


@pytest.mark.parametrize("betas", BETA_SCHEDULES)
@pytest.mark.parametrize("spacing", STEPS)
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("lower_order_final", [False, True])
@pytest.mark.parametrize("steps", [3, 9, 19])
def test_dpm_solver_takes_the_steps_of_diffusers(
    betas: str, spacing: str, final: str, lower_order_final: bool, steps: int
) -> None:
    options = {"final_sigmas_type": final, "lower_order_final": lower_order_final}
    process = BETA_SCHEDULES[betas]
    grid = grid_of("dpm-solver++", process, spacing, steps)
    theirs = scheduler_of("dpm-solver++", betas, spacing, steps, **options)
    states = states_of(theirs, process, grid, steps + 1)
    ours = trajectory("dpm-solver++", process, grid, clip=False, **options)
    assert largest_difference(ours, states) <= 1e-5  # theirs computes in single precision


@pytest.mark.parametrize("betas", BETA_SCHEDULES)
@pytest.mark.parametrize("spacing", ["linspace", "karras"])  # the others it has not
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("steps", [1, 2, 3, 9, 20])
def test_the_singlestep_solver_takes_the_steps_of_diffusers(
    betas: str, spacing: str, final: str, steps: int
) -> None:
    process = BETA_SCHEDULES[betas]
    grid = grid_of("dpm-solver++2s", process, spacing, steps)
    options = {"final_sigmas_type": final}
    theirs = scheduler_of("dpm-solver++2s", betas, spacing, steps, **options)
    assert np.abs(grid - theirs.timesteps.numpy()).max() < 1
    states = states_of(theirs, process, grid, steps + 1)
    ours = trajectory("dpm-solver++2s", process, grid, clip=False, **options)
    assert largest_difference(ours, states) <= 1e-9


@pytest.mark.parametrize("betas", BETA_SCHEDULES)
@pytest.mark.parametrize("spacing", STEPS)
@pytest.mark.parametrize("solver_order", [1, 2, 3])
@pytest.mark.parametrize("lower_order_final", [False, True])
@pytest.mark.parametrize("steps", [3, 9, 19])
def test_deis_takes_the_steps_of_diffusers(
    betas: str, spacing: str, solver_order: int, lower_order_final: bool, steps: int
) -> None:
    options = {"solver_order": solver_order, "lower_order_final": lower_order_final}
    process = BETA_SCHEDULES[betas]
    grid = grid_of("deis", process, spacing, steps)
    theirs = scheduler_of("deis", betas, spacing, steps, **options)
    states = states_of(theirs, process, grid, steps + 1)
    options |= {"final_sigmas_type": "sigma_min"}
    ours = trajectory("deis", process, grid, clip=False, **options)
    assert largest_difference(ours, states) <= 1e-9


@pytest.mark.parametrize("betas", BETA_SCHEDULES)
@pytest.mark.parametrize("spacing", STEPS)
@pytest.mark.parametrize("lower_order_final", [False, True])
@pytest.mark.parametrize("steps", [3, 9, 19])
def test_the_sde_solver_takes_the_steps_of_diffusers(
    betas: str, spacing: str, lower_order_final: bool, steps: int
) -> None:
    process = BETA_SCHEDULES[betas]
    grid = grid_of("sde-dpm-solver++", process, spacing, steps)
    options = {"algorithm_type": "sde-dpmsolver++", "lower_order_final": lower_order_final}
    theirs = scheduler_of("dpm-solver++", betas, spacing, steps, **options)
    states = states_of(theirs, process, grid, steps + 1, noise_from(1))
    ours = trajectory(
        "sde-dpm-solver++", process, grid, clip=False, lower_order_final=lower_order_final
    )
    assert largest_difference(ours, states) <= 1e-5  # theirs computes in single precision


class Parabola(torch.nn.Module):
    """Predicts ε such that x̂_0 is a parabola of λ = log α/σ, whatever the image."""

    def __init__(self, process: DiscreteVP) -> None:
        super().__init__()
        self.process = process

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (
            float(self.process.alpha(t[0].item())),
            float(self.process.sigma(t[0].item())),
        )
        return (x - alpha * parabola(np.log(alpha / sigma))) / sigma


def parabola(log_snr: Any) -> Any:
    return 0.3 - 0.2 * log_snr + 0.05 * log_snr**2


def test_a_step_of_third_order_integrates_a_parabola_exactly() -> None:
    """The exact solution of Lu et al. 2022, proposition 4.1, by quadrature.

    That of diffusers 0.42.1, as of the authors' code, takes half of the second derivative.
    """
    process = Linear().process()
    grid = grid_of("dpm-solver++3m", process, "linspace", 20)
    model = Denoiser(Parabola(process), process, clip=False)
    states: list[Tensor] = []
    SAMPLERS.make("dpm-solver++3m").sample(
        model, process, noise_from(0)(), grid, noise_from(1), lambda i, t, x, x0: states.append(x)
    )
    alpha, sigma = process.alpha(grid), process.sigma(grid)
    log_snr = np.log(alpha / sigma)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    for i in range(2, 19):
        middle, half = (log_snr[i + 1] + log_snr[i]) / 2, (log_snr[i + 1] - log_snr[i]) / 2
        at = middle + half * nodes
        integral = half * float((weights * np.exp(at) * parabola(at)).sum())
        expected = sigma[i + 1] * (states[i] / sigma[i] + integral)
        assert torch.allclose(states[i + 1], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver_order", [1, 2, 3, 4])
@pytest.mark.parametrize("solver_type", ["bh1", "bh2"])
@pytest.mark.parametrize("predict_x0", [False, True])
@pytest.mark.parametrize("lower_order_final", [False, True])
def test_unipc_takes_the_steps_of_diffusers(
    solver_order: int, solver_type: str, predict_x0: bool, lower_order_final: bool
) -> None:
    options = {
        "solver_order": solver_order,
        "solver_type": solver_type,
        "predict_x0": predict_x0,
        "lower_order_final": lower_order_final,
    }
    # See the next test.
    undefined = (
        solver_type == "bh1" or not predict_x0 or (solver_order > 1 and not lower_order_final)
    )
    chosen = itertools.product(
        STEPS, ["zero", "sigma_min"], [("linear", ()), ("squaredcos_cap_v2", (0, 1, 4))]
    )
    for spacing, final, (betas, disabled) in chosen:
        process = BETA_SCHEDULES[betas]
        grid = grid_of("unipc", process, spacing, 7)
        options |= {"final_sigmas_type": final, "disable_corrector": disabled}
        ours = trajectory("unipc", process, grid, clip=False, **options)
        assert all(state.isfinite().all() for state in ours)
        known = ours[:-1] if undefined and final == "zero" else ours
        theirs = scheduler_of("unipc", betas, spacing, 7, **options)
        states = states_of(theirs, process, grid, len(known))
        assert largest_difference(known, states) <= 1e-6, (spacing, final, betas)


# With these, the last step of diffusers 0.42.1 multiplies 0 with infinity, or solves a singular
# system.
@pytest.mark.parametrize(
    "options",
    [{"solver_type": "bh1"}, {"predict_x0": False}, {"lower_order_final": False}],
    ids=lambda options: next(iter(options)),
)
def test_the_last_step_of_unipc_is_of_first_order(options: dict[str, object]) -> None:
    process = Linear().process()
    grid = grid_of("unipc", process, "linspace", 9)
    *_, before, x_0 = trajectory("unipc", process, grid, clip=False, **options)
    alpha, sigma = float(process.alpha(grid[-1])), float(process.sigma(grid[-1]))
    eps = Wave(process)(before, torch.tensor(grid[-1]).expand(2))
    if options.get("predict_x0", True):
        assert torch.allclose(x_0, (before - sigma * eps) / alpha)
        return
    disabled = {"disable_corrector": tuple(range(9)), **options}
    *_, before, x_0 = trajectory("unipc", process, grid, clip=False, **disabled)
    eps = Wave(process)(before, torch.tensor(grid[-1]).expand(2))
    assert torch.allclose(x_0, (before - sigma * eps) / alpha)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(("spacing", "steps"), [("karras", 20), ("trailing", 1000)])
def test_a_step_from_the_least_noise_to_it_goes_nowhere(
    name: str, spacing: str, steps: int
) -> None:
    grid = grid_of(name, Linear().process(), spacing, steps)
    *_, before, x_0 = trajectory(
        name, Linear().process(), grid, clip=False, final_sigmas_type="sigma_min"
    )
    assert x_0.isfinite().all()
    if name == "dpm-solver++":
        assert torch.equal(x_0, before)
