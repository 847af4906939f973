from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.diffusion.processes import VE, VP, DiscreteVE, Process
from benchmark.diffusion.schedules import linear
from benchmark.diffusion.timesteps import timesteps
from benchmark.errors import BenchmarkError

NCSN = DiscreteVE(np.geomspace(0.01, 1, 10))
SDES = [VE(0.01, 50.0), VP(0.1, 20.0)]


# Of the two ends between which a single step lies, diffusers takes the one without noise.
SPACED = [
    (spacing, steps)
    for spacing in ("leading", "linspace", "trailing")
    for steps in (1, 2, 7, 10, 50, 333, 999, 1000)
    if (spacing, steps) != ("linspace", 1)
]


@pytest.mark.parametrize(("spacing", "steps"), SPACED)
def test_times_are_those_of_diffusers(spacing: str, steps: int) -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    assert timesteps(linear(), steps, spacing).tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("process", [linear(), NCSN, *SDES], ids=lambda p: p.family)
def test_does_a_single_step_begin_at_the_noise_that_there_is(process: Process) -> None:
    for spacing in {"linspace", "trailing", "karras"} & set(process.spacings):
        assert timesteps(process, 1, spacing).tolist() == [pytest.approx(process.t_max)]


@given(
    T=st.integers(1, 300),
    share=st.floats(0, 1),
    spacing=st.sampled_from(["leading", "linspace", "trailing"]),
)
def test_times_fall_within_the_schedule_and_are_as_many_as_asked(
    T: int, share: float, spacing: str
) -> None:
    steps = max(1, round(share * T))
    grid = timesteps(linear(T=T), steps, spacing)
    assert len(grid) == steps
    assert (np.diff(grid) < 0).all()
    assert grid[-1] >= 0
    assert grid[0] <= T - 1
    assert (grid == grid.round()).all()


@pytest.mark.parametrize("process", [linear(), *SDES], ids=lambda p: p.family)
def test_karras_times_are_even_in_the_seventh_root_of_the_noise(process: Process) -> None:
    grid = timesteps(process, 20, "karras")
    roots = (process.sigma(grid) / process.alpha(grid)) ** (1 / 7)
    assert np.allclose(np.diff(roots, 2), 0, atol=1e-9)
    assert grid[0] == pytest.approx(process.t_max)
    assert grid[-1] == pytest.approx(process.t_min, abs=1e-9)


@pytest.mark.parametrize("process", SDES, ids=lambda p: p.family)
def test_linspace_of_an_sde_ends_where_its_score_is_finite(process: Process) -> None:
    grid = timesteps(process, 5, "linspace")
    assert grid.tolist() == pytest.approx(np.linspace(1, process.t_min, 5).tolist())


def test_repeat_takes_every_level_equally_often_from_the_largest() -> None:
    assert timesteps(NCSN, 30, "repeat").tolist() == np.repeat(np.arange(10), 3)[::-1].tolist()


@pytest.mark.parametrize(
    ("process", "steps", "spacing", "message"),
    [
        (linear(), 0, None, "0 steps sample nothing"),
        (linear(), -1, None, "-1 steps sample nothing"),
        (linear(T=10), 11, None, "11 are more than the 10 times"),
        (NCSN, 1005, "repeat", "1005 cannot be shared evenly by 10 noise levels: choose 1000"),
        (NCSN, 11, None, "11 are more than the 10 times"),
        (NCSN, 5, "repeat", "5 cannot be shared evenly by 10 noise levels: choose 10$"),
        (VE(0.01, 50.0), 10, "leading", "leading is not defined for a ve process: .*linspace"),
        (linear(), 10, "even", "even is not defined for a vp-discrete process: .*trailing"),
    ],
)
def test_what_message_names_an_impossible_grid(
    process: Process, steps: int, spacing: str | None, message: str
) -> None:
    with pytest.raises(BenchmarkError, match=rf"^(steps|spacing): {message}") as refused:
        timesteps(process, steps, spacing)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
