from __future__ import annotations

import numpy as np
import pytest
import torch
from analytic import PROCESSES
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from benchmark.diffusion.processes.base import Process, exact_chain
from benchmark.diffusion.processes.sde import SDE
from benchmark.diffusion.processes.sub_vp import SubVP
from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.processes.vp import VP
from benchmark.diffusion.schedules.geometric import Geometric
from benchmark.diffusion.timesteps import timesteps

SDES = {key: process for key, process in PROCESSES.items() if isinstance(process, SDE)}
all_processes = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
all_sdes = pytest.mark.parametrize("process", SDES.values(), ids=SDES)


def grid_of(process: Process, steps: int = 50) -> np.ndarray:
    even = "linspace" if "linspace" in process.spacings else process.spacings[0]
    return timesteps(process, steps, even)


@all_processes
def test_noise_rises_with_time(process: Process) -> None:
    t = grid_of(process)[::-1]
    assert (np.diff(process.snr(t)) < 0).all()
    assert (np.diff(process.alpha(t)) <= 0).all()


@all_processes
def test_time_of_a_noise_level_is_where_the_process_has_it(process: Process) -> None:
    t = grid_of(process)
    with np.errstate(divide="ignore"):  # α may be 0 at the last time
        level = process.sigma(t) / process.alpha(t)
    assert np.allclose(process.time_of(level), t, atol=1e-7)


@all_sdes
def test_alpha_solves_the_drift(process: SDE) -> None:
    for t in (0.05, 0.4, 1.0):
        if process.pull(t):  # no process has both
            assert process.drift(t) == 0
            assert process.alpha(t) == pytest.approx(1 + quad(process.pull, 0, t)[0], abs=1e-9)
        else:
            drift, _ = quad(process.drift, 0, t)
            assert np.log(process.alpha(t)) == pytest.approx(drift, abs=1e-9)


@all_sdes
def test_sigma_solves_the_variance_equation(process: SDE) -> None:
    """dσ²/dt = 2 f σ² + g², Särkkä and Solin 2019, chapter 5."""
    for t in (0.05, 0.4, 0.9):
        h = 1e-5
        slope = (process.sigma(t + h) ** 2 - process.sigma(t - h) ** 2) / (2 * h)
        expected = 2 * process.drift(t) * process.sigma(t) ** 2 + process.diffusion(t) ** 2
        assert slope == pytest.approx(expected, rel=1e-5)


@all_sdes
def test_is_a_tensor_of_times_as_good_as_an_array(process: SDE) -> None:
    t = grid_of(process)
    for function in (process.alpha, process.sigma, process.drift, process.diffusion):
        assert np.allclose(function(torch.tensor(t)).numpy(), function(t), rtol=1e-12)
        assert function(float(t[7])) == pytest.approx(function(t)[7])


def test_vp_and_sub_vp_have_the_marginals_of_the_paper() -> None:
    """Song et al. 2021, equation 29, at t = 1 with β from 0.1 to 20: ∫β = 10.05."""
    assert VP(0.1, 20).alpha(1.0) == pytest.approx(np.exp(-5.025))
    assert VP(0.1, 20).sigma(1.0) ** 2 == pytest.approx(1 - np.exp(-10.05))
    assert SubVP(0.1, 20).sigma(1.0) == pytest.approx(1 - np.exp(-10.05))


@all_processes
def test_exact_chain_leads_from_marginal_to_marginal(process: Process) -> None:
    a, g = exact_chain(process, grid_of(process))
    alpha, sigma = 1.0, 0.0
    for i in reversed(range(50)):
        alpha, sigma = a[i] * alpha, np.hypot(a[i] * sigma, g[i])
        t = grid_of(process)[i]
        assert alpha == pytest.approx(float(process.alpha(t)), rel=1e-9)
        assert sigma == pytest.approx(float(process.sigma(t)), rel=1e-6)


@all_processes
def test_chain_of_a_process_ends_at_its_prior(process: Process) -> None:
    a, g = process.chain(grid_of(process, 300))
    alpha, sigma = 1.0, 0.0
    for i in reversed(range(300)):
        alpha, sigma = a[i] * alpha, np.hypot(a[i] * sigma, g[i])
    end = process.t_max
    assert alpha == pytest.approx(float(process.alpha(end)), abs=0.02)
    assert sigma == pytest.approx(float(process.sigma(end)), rel=0.03)


def test_chain_of_few_vp_steps_stays_finite() -> None:
    a, g = VP(0.1, 20.0).chain(grid_of(VP(0.1, 20.0), 5))
    assert np.isfinite(a).all()
    assert np.isfinite(g).all()


@all_processes
def test_prior_has_the_noise_of_the_last_time(process: Process) -> None:
    z = torch.randn(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prior = process.prior(z)
    assert float(prior.std()) == pytest.approx(float(process.sigma(process.t_max)), rel=0.02)


@all_processes
@given(pixel=st.floats(-1, 1))
def test_range_of_the_process_is_that_of_the_images(process: Process, pixel: float) -> None:
    low, high = process.data_range
    image = torch.tensor([-1.0, 1.0, pixel], dtype=torch.float64)
    encoded = process.encode(image)
    assert encoded[:2].tolist() == [low, high]
    assert torch.allclose(process.decode(encoded), image)


def test_do_ncsn_and_ve_see_images_from_zero_to_one() -> None:
    assert Geometric().process().data_range == VE(0.01, 50).data_range == (0.0, 1.0)
