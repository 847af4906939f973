"""Errors of samplers must fall with steps at the order that their papers prove."""

from __future__ import annotations

from pathlib import Path

import pytest
from analytic import ON_PATHS, PROCESSES, gaussian, order
from plot_orders import (
    DETERMINISTIC,
    ONE_STEP,
    STEPS,
    STOCHASTIC,
    Curve,
    flow_error,
    measure,
    mixture_error,
    plot,
    variance_error,
)

KEYS = ["linear", "vp", "sub-vp", "ve"]
ORDERS = {
    "ddim": 1,
    "heun": 2,
    "dpm-solver++": 2,
    "dpm-solver++2s": 2,
    "unipc": 3,
    # Of order 2. In h³ (y'''/24 + ∂f/∂y y''/8), the first term of its error, the two parts cancel
    # each other where y is √(c + u²), as it is for Gaussian data.
    "midpoint": 3,
    "rk4": 4,
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("name", "expected"), ORDERS.items())
def test_error_of_an_ode_solver_falls_at_its_order(name: str, expected: int, key: str) -> None:
    errors = [flow_error(name, PROCESSES[key], steps) for steps in STEPS]
    assert order(STEPS, errors) == pytest.approx(expected, abs=0.15)


RUNGE_KUTTA = [curve for curve in DETERMINISTIC if curve in ONE_STEP or curve.sampler == "rk4"]


@pytest.mark.parametrize("key", ["linear", "ve"])
@pytest.mark.parametrize("curve", RUNGE_KUTTA, ids=lambda curve: curve.sampler)
def test_error_of_a_one_step_solver_falls_at_its_order_on_a_mixture(curve: Curve, key: str) -> None:
    steps = STEPS[1:4]
    errors = [mixture_error(curve.sampler, PROCESSES[key], n) for n in steps]
    assert order(steps, errors) == pytest.approx(curve.order, abs=0.2)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("skip_prk_steps", [False, True])
def test_error_of_pndm_falls_at_order_two(skip_prk_steps: bool, key: str) -> None:
    """On `ve` it comes to its order slowly, from the more exact steps of Runge and Kutta."""
    options = {"skip_prk_steps": skip_prk_steps}
    errors = [flow_error("pndm", PROCESSES[key], steps, **options) for steps in STEPS]
    assert order(STEPS[-2:], errors[-2:]) == pytest.approx(2, abs=0.15)


def test_error_of_stochastic_heun_falls_at_order_two() -> None:
    [curve] = [curve for curve in STOCHASTIC if curve.sampler == "stochastic-heun"]
    errors = [
        variance_error(curve.sampler, PROCESSES["sub-vp"], steps, **curve.options)
        for steps in STEPS
    ]
    assert order(STEPS, errors) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("name", "solver_order", "expected"),
    [
        ("deis", 1, 1),
        ("deis", 2, 2),
        ("unipc", 1, 2),
        ("unipc", 3, 4),
        ("ipndm", 1, 1),
        ("ipndm", 2, 2),
        ("ipndm", 3, 2),  # its factors are those of even steps
        ("ipndm", 4, 2),
    ],
)
def test_error_of_a_multistep_solver_falls_at_its_order(
    name: str, solver_order: int, expected: int, key: str
) -> None:
    process = PROCESSES[key]
    errors = [flow_error(name, process, steps, solver_order=solver_order) for steps in STEPS]
    assert order(STEPS, errors) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["deis", "dpm-solver++3m"])
def test_third_order_gains_more_than_its_start_costs(name: str, key: str) -> None:
    """The first steps are of orders 1 and 2, which leaves less than 3 of all of them."""
    process = PROCESSES[key]
    if name == "deis":
        second = [flow_error("deis", process, steps, solver_order=2) for steps in STEPS]
        third = [flow_error("deis", process, steps, solver_order=3) for steps in STEPS]
    else:
        second, third = (
            [flow_error(each, process, steps) for steps in STEPS] for each in ("dpm-solver++", name)
        )
    assert 2.3 < order(STEPS, third) < 3.2
    assert third[-1] < second[-1] / 10


@pytest.mark.parametrize("key", ["linear", "vp", "sub-vp"])
def test_error_of_the_sde_solver_falls_faster_than_at_order_one(key: str) -> None:
    errors = [variance_error("sde-dpm-solver++", PROCESSES[key], steps) for steps in STEPS]
    assert order(STEPS, errors) > 1.2


def test_error_of_euler_maruyama_falls_at_order_one() -> None:
    errors = [variance_error("euler-maruyama", PROCESSES["sub-vp"], steps) for steps in STEPS]
    assert order(STEPS, errors) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("key", ["linear", "cosine", "ve"])
def test_error_of_the_reverse_diffusion_predictor_falls_at_order_one(key: str) -> None:
    errors = [
        variance_error("predictor-corrector", PROCESSES[key], steps, corrections=0)
        for steps in STEPS
    ]
    assert order(STEPS, errors) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("key", ["linear", "cosine", "ve"])
@pytest.mark.parametrize("name", ["ddpm", "euler-ancestral"])
def test_error_of_ancestral_sampling_falls_towards_order_one(name: str, key: str) -> None:
    errors = [variance_error(name, PROCESSES[key], steps) for steps in STEPS]
    last = order(STEPS[-2:], errors[-2:])
    assert order(STEPS[:2], errors[:2]) < last  # the asymptote is reached slowly
    assert last == pytest.approx(1, abs=0.25)


def test_does_the_plot_show_every_solver_and_what_it_costs(tmp_path: Path) -> None:
    png, svg = plot(tmp_path)
    assert 10_000 < png.stat().st_size < 100_000
    for curve in (*DETERMINISTIC, *STOCHASTIC):
        assert f">{curve.label}, order {curve.order}<" in svg.read_text()
    process = PROCESSES["sub-vp"]
    calls, _ = measure(Curve("Heun", 2, "heun"), flow_error, process, gaussian(process))
    assert calls == [2 * steps - 1 for steps in STEPS]


def test_does_the_plot_show_every_sampler_that_can_have_an_order() -> None:
    others = {"annealed-langevin", "probability-flow"}  # of a fixed step size, and of a tolerance
    assert {curve.sampler for curve in (*DETERMINISTIC, *STOCHASTIC)} == {*ON_PATHS} - others
