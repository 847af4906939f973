"""From images back to their noise: the exact flow, diffusers, and the command that draws it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from analytic import MEAN, PROCESSES, VARIANCE, at_start, gaussian, no_noise, order, scales
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.inversion import between, invert
from benchmark.diffusion.samplers.ddim import DDIM
from benchmark.diffusion.timesteps import timesteps
from benchmark.storage.paths import Run
from benchmark.tools.inversion import COLUMNS, ETAS, ROWS, inverted, write

STEPS = [50, 100, 200, 400]
KEYS = ["linear", "vp", "sub-vp", "ve", "edm", "flow"]


def grid(key: str, steps: int) -> np.ndarray:
    process = PROCESSES[key]
    return timesteps(process, steps, "trailing" if key == "flow" else "karras")


@pytest.mark.parametrize("key", KEYS)
def test_inversion_approaches_the_exact_flow_at_order_one(key: str) -> None:
    process = PROCESSES[key]
    x_0 = MEAN + VARIANCE.sqrt() * torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    errors = []
    for steps in STEPS:
        times = grid(key, steps)
        mean, std = at_start(process, times[0])
        exact = mean + std / VARIANCE.sqrt() * (x_0 - MEAN)
        errors.append(float((invert(gaussian(process), process, x_0, times) - exact).abs().max()))
    assert order(STEPS, errors) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("key", KEYS)
def test_the_way_there_and_back_leaves_an_error_of_order_one(key: str) -> None:
    process, model = PROCESSES[key], gaussian(PROCESSES[key])
    errors = []
    for steps in STEPS:
        times = grid(key, steps)
        mean, std = at_start(process, times[0])
        x_T = mean + std * torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
        x_0 = DDIM().sample(model, process, x_T, times, no_noise)
        errors.append(float((invert(model, process, x_0, times) - x_T).abs().max()))
    assert order(STEPS, errors) == pytest.approx(1, abs=0.15)


def test_inversion_takes_the_steps_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    process, model = PROCESSES["linear"], gaussian(PROCESSES["linear"])
    times = timesteps(process, 10, "leading")
    scheduler = diffusers.DDIMInverseScheduler(clip_sample=False)
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.tolist() == times[::-1].tolist()
    x_0 = MEAN.repeat(3, 1) + torch.tensor([[-0.5], [0.0], [0.4]], dtype=torch.float64)
    x, before = x_0, None
    for t in scheduler.timesteps.tolist():
        # The slope at the clean image is taken at the first level.
        told = (scales(process, t)[0] * x, t) if before is None else (x, before)
        eps = model(*told).eps
        x, before = scheduler.step(eps, t, x).prev_sample, t
    assert torch.allclose(invert(model, process, x_0, times), x, atol=1e-5)


def test_noise_between_others_keeps_its_size_and_begins_and_ends_at_them() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, 3, 32, 32, generator=generator) for _ in "ab")
    assert torch.allclose(between(a, b, 0.0), a, atol=1e-5)
    assert torch.allclose(between(a, b, 1.0), b, atol=1e-5)
    middle = between(a, b, 0.5)
    assert middle.std() == pytest.approx(1, abs=0.02)  # on a straight line it would be 0.71
    assert torch.allclose(between(a, a, 0.3), a, atol=1e-5)
    x, y = (torch.tensor(v, dtype=torch.float64).reshape(1, 1, 1, 2) for v in ([1, 0], [0, 1]))
    third = torch.tensor([3**0.5 / 2, 0.5], dtype=torch.float64)  # 30° of 90°
    assert torch.allclose(between(x, y, 1 / 3).flatten(), third, atol=1e-12)


@pytest.fixture
def content() -> dict[str, Any]:
    """A config whose network is ready."""
    return {
        "run": "back",
        "device": "cpu",
        "sampling_batch": 16,
        "data": {"avatars": {"source": "avatars", "style": "toon-head", "resolution": 32,
                             "train": 8, "held_out": 8}},
        "models": {"DDIM": {"family": "DDIM", "data": "avatars",
                            "weights": {"kind": "zoo", "name": "avatars-ddpm"}}},
        "samplers": {"noisy": {"kind": "ddim", "eta": 0.5}},
        "grid": [{"table": "t", "model": "DDIM", "schedule": "linear",
                  "sampler": ["ddim", "noisy", "ddpm"], "steps": 4, "samples": 8}],
        "evaluation": {"metrics": {"fd": {"kind": "frechet"}}, "neighbours": 0, "controls": []},
    }  # fmt: skip


CELL = "DDIM-linear-ddim-4-s0"


def test_a_ready_network_leads_back_the_better_the_more_steps(
    content: dict[str, Any], tmp_path: Path
) -> None:
    found = inverted(parse_config(content), Run(tmp_path / "back"), CELL, [3, 12], 3)
    few, more = found.trips
    assert 0 < more.noise.value < few.noise.value < 2
    assert 0 < more.levels.value < few.levels.value
    assert [spread.eta for spread in found.spreads] == [*ETAS]
    none, *noisy = found.spreads
    assert (none.levels.value, none.same) == (0, 1)  # the same bytes
    assert sorted(noisy, key=lambda spread: spread.levels.value) == noisy
    assert found.pictures.shape == (ROWS * COLUMNS, 32, 32, 3)

    paths = write(found, tmp_path / "out")
    assert sorted(path.name for path in paths) == [
        "interpolation.png", "inversion.csv", "inversion.png", "inversion.svg", "spread.csv",
    ]  # fmt: skip
    trips = pd.read_csv(tmp_path / "out" / "inversion.csv")
    assert trips["steps"].tolist() == [3, 12]
    assert trips["noise"][1] == pytest.approx(more.noise.value)
    again = write(found, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_the_ends_of_an_arc_are_samples_of_the_cell(
    content: dict[str, Any], tmp_path: Path
) -> None:
    """The first image of each row is a sample of the cell, whichever else is drawn."""
    config = parse_config(content)
    found = inverted(config, Run(tmp_path / "back"), CELL, [3], 3)
    from benchmark.stages.sample import CellSampling

    job = config.job("sample", CELL)
    sampling = CellSampling(job, Run(tmp_path / "back"), torch.device("cpu"), range(ROWS))  # type: ignore[arg-type]
    sampling.model.clip = False
    drawn = np.concatenate(list(sampling.batches()))
    firsts = found.pictures[::COLUMNS].astype(int)
    assert np.abs(firsts - drawn.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("DDIM-linear-noisy-4-s0", "its sampler adds noise, eta: 0.5"),
        ("DDIM-linear-ddpm-4-s0", "the sampler ddpm is not inverted: choose a cell of ddim"),
    ],
)
def test_a_sampler_with_noise_is_not_inverted(
    content: dict[str, Any], cell: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchmarkError, match=said) as caught:
        inverted(parse_config(content), Run(tmp_path / "back"), cell, [3], 3)
    assert "\n" not in str(caught.value)


def test_more_steps_than_times_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="1000"):
        inverted(parse_config(content), Run(tmp_path / "back"), CELL, [3, 2000], 3)


@pytest.mark.parametrize("steps", ["", "a", "0", "3,,4"])
def test_steps_that_are_no_numbers_are_refused(steps: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["invert", str(tmp_path), CELL, "out", "--steps", steps])
    assert found.exit_code != 0
    assert not (tmp_path / "out").exists()
