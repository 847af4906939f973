from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.processes.base import Array, Process
from benchmark.diffusion.processes.discrete_ve import DiscreteVE
from benchmark.diffusion.processes.ve import VE
from benchmark.diffusion.processes.vp import VP
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.diffusion.schedules.cosine import Cosine
from benchmark.diffusion.schedules.geometric import Geometric
from benchmark.diffusion.schedules.linear import Linear
from benchmark.diffusion.timesteps import timesteps

NCSN = DiscreteVE(np.geomspace(0.01, 1, 10))
SDES = [VE(0.01, 50.0), VP(0.1, 20.0)]


# A single step of diffusers is taken where there is no noise, but with "trailing". Its "leading" is
# even where the steps divide T, or nearly do.
EQUAL = {
    "leading": (2, 4, 5, 10, 50, 100, 500, 999, 1000),
    "linspace": (2, 7, 10, 50, 333, 600, 999, 1000),
    "trailing": (1, 2, 7, 10, 50, 333, 600, 999, 1000),
}


@pytest.mark.parametrize(("spacing", "counts"), EQUAL.items())
def test_times_are_those_of_diffusers(spacing: str, counts: tuple[int, ...]) -> None:
    from diffusers import DDIMScheduler

    for steps in counts:
        scheduler = DDIMScheduler(timestep_spacing=spacing)
        scheduler.set_timesteps(steps)
        assert (
            timesteps(Linear().process(), steps, spacing).tolist() == scheduler.timesteps.tolist()
        )


# For these, diffusers 0.42.1 has one time too many: t = -1.
@pytest.mark.parametrize("steps", [61, 103, 121, 122, 201, 206, 994, 995, 998])
def test_trailing_has_no_time_below_zero(steps: int) -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    grid = timesteps(Linear().process(), steps, "trailing")
    assert grid.tolist() == scheduler.timesteps.tolist()[:steps]
    assert grid[-1] == round(1000 / steps) - 1


@pytest.mark.parametrize(
    ("steps", "first"), [(1, 999), (2, 500), (3, 666), (499, 997), (501, 998), (600, 998)]
)
def test_leading_begins_near_the_noise_for_any_number_of_steps(steps: int, first: int) -> None:
    grid = timesteps(Linear().process(), steps, "leading")
    assert grid[0] == first
    gaps = -np.diff(grid)
    assert steps == 1 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(
    "process", [Linear().process(), Linear(T=1).process(), NCSN, *SDES], ids=lambda p: p.family
)
@pytest.mark.parametrize("drop_last", [False, True])
def test_does_a_single_step_begin_at_the_noise_that_there_is(
    process: Process, drop_last: bool
) -> None:
    for spacing in {*process.spacings} - {"repeat"}:
        assert timesteps(process, 1, spacing, drop_last).tolist() == [process.t_max]


@given(
    T=st.integers(1, 1200),
    share=st.floats(0, 1),
    spacing=st.sampled_from(["leading", "linspace", "trailing", "karras"]),
    make=st.sampled_from([Linear, Cosine]),
    drop_last=st.booleans(),
)
def test_times_of_a_chain_are_different_within_it_and_begin_near_its_end(
    T: int, share: float, spacing: str, make: Callable[..., Process], drop_last: bool
) -> None:
    steps = max(1, round(share * T))
    grid = timesteps(make(T=T).process(), steps, spacing, drop_last)
    assert_is_a_plan(grid, steps, 0, T - 1)
    assert spacing == "karras" or (grid == grid.round()).all()
    if spacing == "leading" and steps > 1:  # one gap before the end
        assert grid[0] == T - math.ceil(T / min(steps + drop_last, T))
    else:
        assert grid[0] == T - 1
    assert steps < T or spacing == "karras" or grid.tolist() == list(range(T))[::-1]


@given(levels=st.integers(2, 300), share=st.floats(0, 1), drop_last=st.booleans())
def test_times_of_noise_levels_are_different_and_begin_at_the_largest(
    levels: int, share: float, drop_last: bool
) -> None:
    steps = max(1, round(share * levels))
    grid = timesteps(Geometric(levels=levels).process(), steps, "linspace", drop_last)
    assert_is_a_plan(grid, steps, 0, levels - 1)
    assert grid[0] == levels - 1
    assert (grid == grid.round()).all()


@given(
    kind=st.sampled_from(["ve", "vp", "sub-vp"]),
    steps=st.integers(1, 3000),
    spacing=st.sampled_from(["linspace", "karras"]),
    drop_last=st.booleans(),
)
def test_times_of_an_sde_are_different_and_begin_at_its_end(
    kind: str, steps: int, spacing: str, drop_last: bool
) -> None:
    process = SCHEDULES.make(kind).process()
    grid = timesteps(process, steps, spacing, drop_last)
    assert_is_a_plan(grid, steps, process.t_min, 1.0)
    assert grid[0] == 1.0
    dropped = drop_last and spacing == "linspace"
    assert steps == 1 or (grid[-1] == process.t_min) is not dropped


def assert_is_a_plan(grid: Array, steps: int, low: float, high: float) -> None:
    assert len(grid) == steps
    assert (np.diff(grid) < 0).all()
    assert grid[-1] >= low
    assert grid[0] <= high


@pytest.mark.parametrize("process", [Linear().process(), *SDES], ids=lambda p: p.family)
def test_karras_times_are_even_in_the_seventh_root_of_the_noise(process: Process) -> None:
    grid = timesteps(process, 20, "karras")
    roots = (process.sigma(grid) / process.alpha(grid)) ** (1 / 7)
    assert np.allclose(np.diff(roots, 2), 0, atol=1e-9)
    assert grid[0] == pytest.approx(process.t_max)
    assert grid[-1] == pytest.approx(process.t_min, abs=1e-9)


@pytest.mark.parametrize("kind", ["EulerDiscreteScheduler", "HeunDiscreteScheduler"])
@pytest.mark.parametrize("steps", [2, 5, 20, 100])
def test_karras_times_are_those_between_levels_of_diffusers(kind: str, steps: int) -> None:
    import diffusers

    scheduler = getattr(diffusers, kind)(beta_start=1e-4, beta_end=0.02, use_karras_sigmas=True)
    scheduler.set_timesteps(steps)
    once = [0, *range(1, 2 * steps - 1, 2)] if kind.startswith("Heun") else range(steps)
    grid = timesteps(Linear().process(), steps, "karras")
    level = Linear().process().sigma(grid) / Linear().process().alpha(grid)
    assert level == pytest.approx(scheduler.sigmas[list(once)].numpy(), rel=1e-3)
    assert grid == pytest.approx(scheduler.timesteps[list(once)].numpy(), abs=0.05)


@pytest.mark.parametrize("process", SDES, ids=lambda p: p.family)
def test_linspace_of_an_sde_ends_where_its_score_is_finite(process: Process) -> None:
    grid = timesteps(process, 5, "linspace")
    assert grid.tolist() == pytest.approx(np.linspace(1, process.t_min, 5).tolist())


def test_repeat_takes_every_level_equally_often_from_the_largest() -> None:
    assert timesteps(NCSN, 30, "repeat").tolist() == np.repeat(np.arange(10), 3)[::-1].tolist()


@pytest.mark.parametrize(
    ("process", "steps", "spacing", "message"),
    [
        (Linear().process(), 0, None, "0 steps sample nothing"),
        (Linear().process(), -1, None, "-1 steps sample nothing"),
        (Linear(T=10).process(), 11, None, "11 are more than the 10 times"),
        (NCSN, 1005, "repeat", "1005 cannot be shared evenly by 10 noise levels: choose 1000"),
        (NCSN, 11, None, "11 are more than the 10 times"),
        (NCSN, 5, "repeat", "5 cannot be shared evenly by 10 noise levels: choose 10$"),
        (VE(0.01, 50.0), 10, "leading", "leading is not defined for a ve process: .*linspace"),
        (
            Linear().process(),
            10,
            "even",
            "even is not defined for a vp-discrete process: .*trailing",
        ),
    ],
)
def test_what_message_names_an_impossible_grid(
    process: Process, steps: int, spacing: str | None, message: str
) -> None:
    with pytest.raises(BenchmarkError, match=rf"^(steps|spacing): {message}") as refused:
        timesteps(process, steps, spacing)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
