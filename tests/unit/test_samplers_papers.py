"""Step for step equality with the papers' algorithms, written again as plain NumPy loops.

The loops take nothing from the package: they have their own levels, formulas and order of draws.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.diffusion.denoiser import Estimate, estimate_from
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES

Values = NDArray[np.float64]
SHAPE = (3, 12)
BETA_MIN, BETA_MAX, N = 0.1, 20.0, 100


def score(x: Values, t: float) -> Values:
    """Return a made-up score that pulls to 0, less so at larger t."""
    return -(x + 0.3 * np.sin(2 * x)) / (0.3 + t)


def score_on_ve(x: Values, t: float) -> Values:
    """Return the score of standard normal data under the noise of `ve`, with waves on it."""
    return -(x + 0.3 * np.sin(2 * x)) / (1 + (0.01 * 5000**t) ** 2)


def model_of(
    process: Process, of: Callable[[Values, float], Values]
) -> Callable[[Tensor, float], Estimate]:
    def model(x: Tensor, t: float) -> Estimate:
        alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
        return estimate_from("score", torch.from_numpy(of(x.numpy(), t)), x, alpha, sigma)

    return model


def draws() -> Callable[[], Values]:
    generator = np.random.default_rng(1)
    return lambda: generator.standard_normal(SHAPE)


def start() -> Values:
    return np.random.default_rng(0).standard_normal(SHAPE)


def states_of(
    name: str,
    kind: str,
    steps: int,
    of: Callable[[Values, float], Values] = score,
    **options: object,
) -> Values:
    """Return all states of our sampler that the callback sees, and the last."""
    process = SCHEDULES.make(kind).process()
    noise = draws()
    states: list[Tensor] = []
    sampler = SAMPLERS.make(name, **options)
    x_0 = sampler.sample(
        model_of(process, of),
        process,
        torch.from_numpy(start()),
        sampler.plan(process, steps),
        lambda: torch.from_numpy(noise()),
        lambda i, t, x, x0: states.append(x),
    )
    return torch.stack([*states, x_0]).numpy()


@pytest.mark.parametrize("denoise", [False, True])
def test_annealed_langevin_is_algorithm_1_of_song_and_ermon(denoise: bool) -> None:
    L, T, epsilon = 10, 7, 2e-5
    sigma = [0.01 ** (i / (L - 1)) for i in range(L)]  # σ_1 > … > σ_L
    x, z = start(), draws()
    states = []
    for i in range(L):
        alpha_i = epsilon * sigma[i] ** 2 / sigma[-1] ** 2
        for _ in range(T):
            states.append(x)
            x = x + alpha_i / 2 * score(x, L - 1 - i) + np.sqrt(alpha_i) * z()
    states.append(x + sigma[-1] ** 2 * score(x, 0) if denoise else x)

    ours = states_of("annealed-langevin", "geometric", L * T, denoise=denoise, start="normal")
    assert np.abs(ours - states).max() <= 1e-5


def langevin_step(x: Values, t: float, z: Values, r: float, alpha: float) -> Values:
    """Song et al. 2021, algorithm 5, for each image."""
    g = score(x, t)
    epsilon = 2 * alpha * (r * np.linalg.norm(z, axis=1) / np.linalg.norm(g, axis=1)) ** 2
    return x + epsilon[:, None] * g + np.sqrt(2 * epsilon)[:, None] * z


def predictor_corrector_vp(r: float, predictor_first: bool) -> list[Values]:
    """Song et al. 2021, algorithm 3, with β_1 … β_N of appendix B and C."""
    beta = [(BETA_MIN + i / (N - 1) * (BETA_MAX - BETA_MIN)) / N for i in range(N)]
    times = [1e-3 + i / (N - 1) * (1 - 1e-3) for i in range(N)]
    x, z = start(), draws()
    states = []
    for i in reversed(range(N)):
        if i < N - 1 or not predictor_first:
            x = langevin_step(x, times[i], z(), r, 1 - beta[i])
        states.append(x)
        x = (2 - np.sqrt(1 - beta[i])) * x + beta[i] * score(x, times[i])
        if i > 0:
            x = x + np.sqrt(beta[i]) * z()
    return [*states, x]


def predictor_corrector_sub_vp(r: float, predictor_first: bool) -> list[Values]:
    """The same for the sub-VP SDE, whose discretisation is Euler's with a step of 1/N."""
    times = [1e-3 + i / (N - 1) * (1 - 1e-3) for i in range(N)]
    x, z = start(), draws()
    states = []
    for i in reversed(range(N)):
        beta = BETA_MIN + times[i] * (BETA_MAX - BETA_MIN)
        integral = BETA_MIN * times[i] + times[i] ** 2 * (BETA_MAX - BETA_MIN) / 2
        G2 = beta * (1 - np.exp(-2 * integral)) / N
        if i < N - 1 or not predictor_first:
            x = langevin_step(x, times[i], z(), r, (1 - beta / (2 * N)) ** 2)
        states.append(x)
        x = x + beta / 2 * x / N + G2 * score(x, times[i])
        if i > 0:
            x = x + np.sqrt(G2) * z()
    return [*states, x]


@pytest.mark.parametrize("order", ["corrector-first", "predictor-first"])
@pytest.mark.parametrize(
    ("kind", "paper"), [("vp", predictor_corrector_vp), ("sub-vp", predictor_corrector_sub_vp)]
)
def test_predictor_corrector_is_algorithm_3_of_song_et_al(
    order: str, kind: str, paper: Callable[[float, bool], list[Values]]
) -> None:
    ours = states_of("predictor-corrector", kind, N, snr=0.16, order=order)
    assert np.abs(ours - paper(0.16, order == "predictor-first")).max() <= 1e-5


@pytest.mark.parametrize("kind", ["vp", "sub-vp", "ve"])
def test_euler_maruyama_is_equation_6_of_song_et_al(kind: str) -> None:
    end = 1e-5 if kind == "ve" else 1e-3
    times = np.linspace(1, end, N)
    x, z = start(), draws()
    states = []
    for t, t_next in pairwise(times):
        states.append(x)
        beta = BETA_MIN + t * (BETA_MAX - BETA_MIN)
        integral = BETA_MIN * t + t**2 * (BETA_MAX - BETA_MIN) / 2
        f, g2 = {
            "vp": (-beta / 2 * x, beta),
            "sub-vp": (-beta / 2 * x, beta * (1 - np.exp(-2 * integral))),
            "ve": (0 * x, 2 * np.log(50 / 0.01) * (0.01 * (50 / 0.01) ** t) ** 2),
        }[kind]
        dt = t_next - t
        x = x + (f - g2 * score(x, t)) * dt + np.sqrt(-dt * g2) * z()
    states.append(x)

    ours = states_of("euler-maruyama", kind, N)
    relative = np.abs(ours[:-1] - states) / np.maximum(1, np.abs(states))
    assert relative.max() <= 1e-5


@pytest.mark.parametrize("solver_order", [1, 2, 3, 4])
def test_ipndm_is_the_step_of_ddim_with_an_extrapolated_prediction(solver_order: int) -> None:
    steps = 12
    times = np.linspace(1, 1e-3, steps)
    alpha = np.exp(-(BETA_MIN * times + times**2 * (BETA_MAX - BETA_MIN) / 2) / 2)
    alpha, sigma = np.append(alpha, 1), np.append(np.sqrt(1 - alpha**2), 0)
    x = start()
    states, e = [], []
    for i, t in enumerate(times):
        states.append(x)
        e.insert(0, -sigma[i] * score(x, t))
        known = min(i + 1, solver_order)
        eps = {
            1: lambda: e[0],
            2: lambda: (3 * e[0] - e[1]) / 2,
            3: lambda: (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12,
            4: lambda: (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3]) / 24,
        }[known]()
        x0 = (x - sigma[i] * eps) / alpha[i]
        x = alpha[i + 1] * x0 + sigma[i + 1] * eps
    states.append(x)

    ours = states_of("ipndm", "vp", steps, solver_order=solver_order)
    relative = np.abs(ours - states) / np.maximum(1, np.abs(states))
    assert relative.max() <= 1e-9


def test_heun_is_algorithm_1_of_karras_et_al() -> None:
    steps, rho, sigma_min, sigma_max = 12, 7, 0.01 * 5000**1e-5, 50.0
    i = np.arange(steps)
    ends = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigma = np.append((ends[0] + i / (steps - 1) * (ends[1] - ends[0])) ** rho, 0)
    time = np.log(sigma[:-1] / 0.01) / np.log(5000)
    x = start()
    states = []
    for i in range(steps):
        states.append(x)
        d = -sigma[i] * score(x, time[i])  # equation 4, (x - D)/σ = -σ ∇ log p
        x_next = x + (sigma[i + 1] - sigma[i]) * d
        if sigma[i + 1] != 0:
            d_next = -sigma[i + 1] * score(x_next, time[i + 1])
            x_next = x + (sigma[i + 1] - sigma[i]) * (d + d_next) / 2
        x = x_next
    relative = np.abs(states_of("heun", "ve", steps) - [*states, x]) / np.maximum(1, np.abs(x))
    assert relative.max() <= 1e-5


def ve_levels(steps: int, first: float, last: float) -> tuple[Values, Callable[[float], float]]:
    """Return the levels of Karras et al. 2022, equation 5, and the time of a level."""
    ends, i = (first ** (1 / 7), last ** (1 / 7)), np.arange(steps)
    sigma = np.append((ends[0] + i / (steps - 1) * (ends[1] - ends[0])) ** 7, 0)
    return sigma, lambda level: float(np.log(level / 0.01) / np.log(5000))


@pytest.mark.parametrize(
    ("s_churn", "s_min", "s_max", "s_noise"),
    [(40.0, 0.05, 50.0, 1.003), (3.0, 0.0, 1e9, 1.0), (0.0, 0.0, 1.0, 1.0), (1.0, 0.3, 4.0, 1.1)],
)
def test_stochastic_heun_is_algorithm_2_of_karras_et_al(
    s_churn: float, s_min: float, s_max: float, s_noise: float
) -> None:
    N = 18
    sigma, time = ve_levels(N, 50.0, 0.01 * 5000**1e-5)
    x, z = start(), draws()
    states = []

    def slope(x: Values, level: float) -> Values:
        denoised = x + level**2 * score_on_ve(x, time(level))
        return (x - denoised) / level

    for i in range(N):
        states.append(x)
        gamma = min(s_churn / N, np.sqrt(2) - 1) if s_min <= sigma[i] <= s_max else 0
        raised = sigma[i] + gamma * sigma[i]
        x_hat = x
        if gamma > 0:
            x_hat = x + np.sqrt(raised**2 - sigma[i] ** 2) * s_noise * z()
        d = slope(x_hat, raised)
        x = x_hat + (sigma[i + 1] - raised) * d
        if sigma[i + 1] != 0:
            d_prime = slope(x, sigma[i + 1])
            x = x_hat + (sigma[i + 1] - raised) * (d / 2 + d_prime / 2)
    states.append(x)

    options = {"s_churn": s_churn, "s_min": s_min, "s_max": s_max, "s_noise": s_noise}
    ours = states_of("stochastic-heun", "ve", N, score_on_ve, **options)
    assert np.abs(ours - states).max() <= 1e-6


@pytest.mark.parametrize("name", ["midpoint", "rk4"])
def test_runge_kutta_methods_are_those_of_the_textbooks(name: str) -> None:
    steps = 12
    sigma, time = ve_levels(steps, 50.0, 0.01 * 5000**1e-5)
    x = start()
    states = []

    def f(level: float, x: Values) -> Values:
        return -level * score_on_ve(x, time(level))

    for i in range(steps):
        states.append(x)
        s, h = sigma[i], sigma[i + 1] - sigma[i]
        if sigma[i + 1] == 0:
            x = x + h * f(s, x)
        elif name == "midpoint":
            x = x + h * f(s + h / 2, x + h / 2 * f(s, x))
        else:
            k1 = f(s, x)
            k2 = f(s + h / 2, x + h / 2 * k1)
            k3 = f(s + h / 2, x + h / 2 * k2)
            k4 = f(s + h, x + h * k3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    states.append(x)
    assert np.abs(states_of(name, "ve", steps, score_on_ve) - states).max() <= 1e-9
