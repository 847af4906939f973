"""Errors of samplers must fall with steps at the order that their papers prove."""

from __future__ import annotations

from pathlib import Path

import pytest
from analytic import PROCESSES, order
from plot_orders import STEPS, flow_error, plot, variance_error

KEYS = ["linear", "vp", "sub-vp", "ve"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("name", "expected"), [("ddim", 1), ("heun", 2), ("dpm-solver++", 2), ("unipc", 3)]
)
def test_error_of_an_ode_solver_falls_at_its_order(name: str, expected: int, key: str) -> None:
    errors = [flow_error(name, PROCESSES[key], steps) for steps in STEPS]
    assert order(STEPS, errors) == pytest.approx(expected, abs=0.15)


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


def test_does_the_plot_show_every_solver(tmp_path: Path) -> None:
    plot(tmp_path / "orders.png")
    assert (tmp_path / "orders.png").stat().st_size > 10_000
