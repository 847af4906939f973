"""Errors of samplers must fall with steps at the order that their papers prove."""

from __future__ import annotations

from pathlib import Path

import pytest
from analytic import PROCESSES, order
from plot_orders import (
    DETERMINISTIC,
    STEPS,
    STOCHASTIC,
    flow_error,
    measure,
    plot,
    variance_error,
)

KEYS = ["linear", "vp", "sub-vp", "ve"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_error_of_an_ode_solver_falls_at_its_order(name: str, key: str) -> None:
    errors = [flow_error(name, PROCESSES[key], steps) for steps in STEPS]
    assert order(STEPS, errors) == pytest.approx(DETERMINISTIC[name].order, abs=0.15)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("name", "solver_order", "expected"),
    [
        ("deis", 1, 1),
        ("deis", 2, 2),
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
    errors = [variance_error("predictor-corrector", PROCESSES[key], steps) for steps in STEPS]
    assert order(STEPS, errors) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("key", ["linear", "cosine", "ve"])
def test_error_of_ancestral_sampling_falls_towards_order_one(key: str) -> None:
    errors = [variance_error("ddpm", PROCESSES[key], steps) for steps in STEPS]
    last = order(STEPS[-2:], errors[-2:])
    assert order(STEPS[:2], errors[:2]) < last  # the asymptote is reached slowly
    assert last == pytest.approx(1, abs=0.25)


def test_does_the_plot_show_every_solver_and_what_it_costs(tmp_path: Path) -> None:
    png, svg = plot(tmp_path)
    assert 10_000 < png.stat().st_size < 100_000
    for curve in (*DETERMINISTIC.values(), *STOCHASTIC.values()):
        # Text is drawn as paths, beneath a comment that holds it.
        assert f"<!-- {curve.label}, order {curve.order} -->" in svg.read_text()
    assert measure("heun", flow_error)[0] == [2 * steps - 1 for steps in STEPS]
