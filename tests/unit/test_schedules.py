from __future__ import annotations

import re

import numpy as np
import pytest
from analytic import PATHS
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.core.strict_model import explain
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.cosine import Cosine
from benchmark.diffusion.schedules.geometric import Geometric
from benchmark.diffusion.schedules.linear import Linear
from benchmark.diffusion.schedules.scaled_linear import ScaledLinear
from benchmark.diffusion.schedules.sigmoid import Sigmoid
from benchmark.diffusion.schedules.sub_vp import SubVPSchedule
from benchmark.diffusion.schedules.ve import VESchedule
from benchmark.diffusion.schedules.vp import VPSchedule

DIFFUSERS = {
    "linear": {"beta_schedule": "linear"},
    "scaled-linear": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
    "sigmoid": {"beta_schedule": "sigmoid"},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


@pytest.mark.parametrize("name", DIFFUSERS)
@pytest.mark.parametrize("T", [100, 1000])
def test_schedule_matches_diffusers(name: str, T: int) -> None:
    from diffusers import DDPMScheduler

    beta = DDPMScheduler(num_train_timesteps=T, **DIFFUSERS[name]).betas.double().numpy()
    alpha_bar = SCHEDULES.make(name, T=T).process().alpha_bar
    assert np.allclose(1 - alpha_bar / np.append(1, alpha_bar[:-1]), beta, rtol=1e-5, atol=0)


def test_linear_has_the_ends_of_the_paper() -> None:
    alpha_bar = Linear().process().alpha_bar
    assert 1 - alpha_bar[0] == pytest.approx(1e-4)
    assert 1 - alpha_bar[-1] / alpha_bar[-2] == pytest.approx(0.02)


def test_cosine_is_the_squared_cosine_but_for_its_cap() -> None:
    t = np.arange(1, 1000) / 1000  # the last β is capped
    exact = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    assert np.allclose(Cosine().process().alpha_bar[:-1], exact, rtol=1e-9)
    assert Cosine().process().alpha_bar[-1] == pytest.approx(0.001 * exact[-1])


@pytest.mark.parametrize(
    ("name", "ends"),
    [("linear", (1e-4, 0.02)), ("scaled-linear", (0.00085, 0.012)), ("sigmoid", (1e-4, 0.02))],
)
def test_beta_begins_and_ends_where_it_should(name: str, ends: tuple[float, float]) -> None:
    alpha_bar = SCHEDULES.make(name).process().alpha_bar
    beta = 1 - alpha_bar / np.append(1, alpha_bar[:-1])
    # A logistic function is e^-6 of its rise short of its ends at -6 and 6.
    short = (ends[1] - ends[0]) / (1 + np.exp(6)) if name == "sigmoid" else 0.0
    assert beta[[0, -1]].tolist() == pytest.approx([ends[0] + short, ends[1] - short])
    assert len(beta) == 1000


betas = st.tuples(st.floats(1e-6, 0.5), st.floats(1e-6, 0.5)).map(sorted)


@given(T=st.integers(2, 300), ends=betas, make=st.sampled_from([Linear, ScaledLinear, Sigmoid]))
def test_signal_falls_and_noise_rises_with_time(T: int, ends: list[float], make: type) -> None:
    process = make(T=T, beta_start=ends[0], beta_end=ends[1]).process()
    t = np.arange(T)
    assert process.alpha_bar[0] == pytest.approx(process.alpha(0) ** 2, rel=1e-9)
    assert np.allclose(process.alpha(t) ** 2 + process.sigma(t) ** 2, 1)
    assert (np.diff(process.alpha(t)) < 0).all()
    assert (np.diff(np.log(process.snr(t))) < 0).all()


@given(T=st.integers(2, 300), s=st.floats(0, 0.1))
def test_cosine_falls_from_nearly_one_to_nearly_nothing(T: int, s: float) -> None:
    process = Cosine(T=T, s=s).process()
    assert (np.diff(process.alpha_bar) < 0).all()
    assert 0 < process.alpha_bar[-1] <= 1e-3
    assert (np.diff(process.snr(np.arange(T))) < 0).all()


@given(levels=st.integers(2, 300), ends=st.tuples(st.floats(1e-3, 1e2), st.floats(1.01, 1e4)))
def test_noise_levels_of_an_ncsn_rise_by_a_constant_factor(
    levels: int, ends: tuple[float, float]
) -> None:
    process = Geometric(levels=levels, sigma_min=ends[0], sigma_max=ends[0] * ends[1]).process()
    assert np.allclose(np.diff(np.log(process.sigmas), 2), 0, atol=1e-9)
    assert process.sigmas[[0, -1]].tolist() == pytest.approx([ends[0], ends[0] * ends[1]])


def test_geometric_has_the_levels_of_the_paper() -> None:
    sigmas = Geometric().process().sigmas
    assert len(sigmas) == 10
    assert (sigmas[0], sigmas[-1]) == pytest.approx((0.01, 1.0))


@given(ends=st.tuples(st.floats(1e-3, 10), st.floats(1.01, 1e5)), t_end=st.floats(1e-6, 0.1))
def test_ve_rises_from_sigma_min_to_sigma_max(ends: tuple[float, float], t_end: float) -> None:
    process = VESchedule(sigma_min=ends[0], sigma_max=ends[0] * ends[1], t_end=t_end).process()
    t = np.linspace(t_end, 1, 50)
    assert process.sigma(0.0) == pytest.approx(ends[0])
    assert process.sigma(process.t_max) == pytest.approx(ends[0] * ends[1])
    assert (np.diff(process.sigma(t)) > 0).all()
    assert (process.alpha(t) == 1).all()


@given(beta_min=st.floats(0.01, 5), rise=st.floats(0, 30), t_end=st.floats(1e-5, 0.1))
def test_sub_vp_has_the_image_of_vp_and_less_noise(
    beta_min: float, rise: float, t_end: float
) -> None:
    """Song et al. 2021, appendix B: the variance of sub-VP is bounded by that of VP."""
    options = {"beta_min": beta_min, "beta_max": beta_min + rise, "t_end": t_end}
    preserving, below = VPSchedule(**options).process(), SubVPSchedule(**options).process()
    t = np.linspace(t_end, 1, 50)
    assert np.allclose(preserving.alpha(t) ** 2 + preserving.sigma(t) ** 2, 1)
    assert np.allclose(below.alpha(t), preserving.alpha(t))
    assert (below.sigma(t) <= preserving.sigma(t)).all()
    for process in (preserving, below):
        assert (np.diff(process.snr(t)) < 0).all()


@given(
    sigma_min=st.floats(-1, 10),
    sigma_max=st.floats(-1, 10),
    name=st.sampled_from(["ve", "geometric"]),
)
def test_are_noise_levels_refused_unless_they_rise(
    sigma_min: float, sigma_max: float, name: str
) -> None:
    options = {"sigma_min": sigma_min, "sigma_max": sigma_max}
    if 0 < sigma_min < sigma_max:
        SCHEDULES.make(name, **options).process()
        return
    with pytest.raises(ValidationError) as refused:
        SCHEDULES.make(name, **options)
    assert explain(refused.value, options) == (
        f"schedule: sigma_min = {sigma_min} and sigma_max = {sigma_max} make no schedule: "
        "0 < sigma_min < sigma_max would"
    )


@pytest.mark.parametrize("name", PATHS)
def test_every_schedule_has_a_process_by_its_defaults(name: str) -> None:
    process = SCHEDULES.make(name).process()
    assert process.snr(process.t_max) < 2 < 90 < process.snr(process.t_min)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear", {"T": 0}),
        ("linear", {"beta_start": 0.03}),
        ("scaled-linear", {"beta_start": 0.0}),
        ("sigmoid", {"beta_end": 1.0}),
        ("cosine", {"T": 0}),
        ("cosine", {"s": -0.1}),
        ("cosine", {"beta_max": 1.0}),
        ("geometric", {"sigma_min": 1.0}),
        ("geometric", {"sigma_min": 0.0}),
        ("geometric", {"levels": 1}),
        ("ve", {"sigma_min": 60.0}),
        ("ve", {"t_end": 0.0}),
        ("vp", {"beta_min": 21.0}),
        ("vp", {"t_end": 1.0}),
        ("sub-vp", {"beta_min": 0.0}),
    ],
)
def test_are_impossible_options_refused_in_one_line(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ValidationError) as refused:
        SCHEDULES.make(name, **options)
    assert re.fullmatch(r"schedule: [^\n]+ would", explain(refused.value, options))
