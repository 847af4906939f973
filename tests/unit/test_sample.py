"""Sampling: the same image whatever the batch, honest times, divergence named."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from stages import do

from benchmark.config.building import sample_job
from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.modules.refinenet import RefineNetModule
from benchmark.models.networks.refinenet import RefineNet
from benchmark.models.weights import load_weights, save_weights
from benchmark.records.record import read_record
from benchmark.runtime.device import arithmetic
from benchmark.stages.chain import MOVIE_STEPS, Chain
from benchmark.stages.sample import CellSampling
from benchmark.storage.paths import Run
from benchmark.storage.pictures import CHAIN_FRAMES, read_movie

CELL = "DDPM-linear-ddpm-10-s0"


def images(config: Config, run: Run, cell: str = CELL, batch: int = 8) -> np.ndarray:
    config = config.model_copy(update={"sampling_batch": batch})
    return drawn(CellSampling(sample_job(config, cell), run, torch.device("cpu")))


def drawn(sampling: CellSampling) -> np.ndarray:
    return np.concatenate(list(sampling.batches()))


@pytest.mark.parametrize("cell", [CELL, "DDIM-linear-ddim-5-s0"])
def test_sample_i_is_the_same_whatever_the_batch(smoke: Config, weighted: Run, cell: str) -> None:
    whole = images(smoke, weighted, cell, batch=8)
    for batch in (1, 3, 5):
        # sums run in another order in batches of another size: at most the last bit of a pixel
        difference = np.abs(images(smoke, weighted, cell, batch).astype(int) - whole)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


def test_sampling_twice_gives_the_same_bits_and_another_seed_others(
    smoke: Config, weighted: Run
) -> None:
    first = images(smoke, weighted)
    assert np.array_equal(first, images(smoke, weighted))
    job = sample_job(smoke, CELL)
    job = replace(job, cell=job.cell.model_copy(update={"seed": 1}))
    other = drawn(CellSampling(job, weighted, torch.device("cpu")))
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("cell", "evaluations"), [(CELL, 10), ("DDIM-linear-ddim-5-s0", 5)])
def test_the_record_counts_evaluations_and_times_every_batch(
    smoke: Config, weighted: Run, cell: str, evaluations: int
) -> None:
    do("sample", smoke, cell, weighted)
    record = read_record(weighted.record("sample", cell))
    assert record.timing is not None
    assert record.timing.network_evaluations == evaluations  # the warm-up is not counted
    assert record.timing.batch_images == [6, 2]
    assert all(seconds > 0 for seconds in record.timing.batch_seconds)
    for seconds, laps in zip(record.timing.batch_seconds, record.timing.batch_laps, strict=True):
        assert len(laps) == (10 if evaluations == 10 else 5)
        assert sum(second for second, _ in laps) == pytest.approx(seconds, rel=0.1)
    counts = [[count for _, count in laps] for laps in record.timing.batch_laps]
    assert counts == [[6] * evaluations, [2] * evaluations]
    assert [lap.images for lap in record.timing.laps] == pytest.approx(
        [6 / evaluations] * evaluations + [2 / evaluations] * evaluations
    )
    assert record.timing.peak_memory_bytes > 0
    assert record.provenance.cpu
    assert np.load(weighted.samples(cell)).shape == (8, 16, 16, 3)


def test_the_chain_goes_from_noise_to_the_samples(smoke: Config, weighted: Run) -> None:
    do("sample", smoke, CELL, weighted)
    chain = np.asarray(Image.open(weighted.chain(CELL)))
    grid = np.asarray(Image.open(weighted.grid(CELL)))
    tile, gap = 64, 2
    last = chain[gap : gap + tile, -gap - tile : -gap]
    assert np.array_equal(last, grid[gap : gap + tile, gap : gap + tile])
    first = chain[gap : gap + tile, gap : gap + tile]
    assert first[::4, ::4].std() > 60  # clipped standard normal noise


def test_the_movie_has_every_state_from_noise_to_the_samples(smoke: Config, weighted: Run) -> None:
    do("sample", smoke, CELL, weighted)
    frames = read_movie(weighted.movie(CELL), 16)
    assert frames.shape == (11, 6, 16, 16, 3)  # before each of the 10 steps, and at the end
    assert np.array_equal(frames[-1], np.load(weighted.samples(CELL))[:6])
    differences = np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3, 4))
    assert (differences > 0).all()


def test_the_movie_of_many_steps_has_as_many_frames_as_the_chain() -> None:
    process = SCHEDULES.make("linear").process()
    few, many = Chain(process, MOVIE_STEPS), Chain(process, MOVIE_STEPS + 1)
    assert len(few.wanted) == MOVIE_STEPS
    assert len(many.wanted) == CHAIN_FRAMES - 1


def test_progress_is_told_within_a_batch(
    smoke: Config,
    weighted: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("benchmark.core.progress.SECONDS_BETWEEN_LINES", 0.0)
    images(smoke, weighted)
    assert f"sample {CELL}, images 0-8 of 8, step: 5/10" in capsys.readouterr().err


def test_a_sample_that_is_not_finite_is_named(smoke: Config, weighted: Run) -> None:
    sampling = CellSampling(sample_job(smoke, CELL), weighted, torch.device("cpu"))
    x_0 = torch.zeros(3, 3, 16, 16)
    x_0[1, 0, 0, 0] = torch.nan
    with pytest.raises(BenchmarkError, match="sample 7 is not finite"):
        sampling._check_finite(x_0, range(6, 9))


def ready(smoke: Config, path: Path, **changes: object) -> Config:
    """The smoke config, where DDPM's weights are those in a file."""
    content = smoke.model_dump(mode="json")
    content["models"]["DDPM"] = {
        "family": "DDPM",
        "data": "tiny",
        "weights": {"kind": "own", "path": str(path)},
    }
    content["grid"][0]["schedule"] = ["linear"]
    return parse_config({**content, **changes})


def test_ready_weights_give_the_images_of_the_training_that_made_them(
    smoke: Config, weighted: Run
) -> None:
    path = weighted.weights("DDPM-linear")
    config = ready(smoke, path)
    assert np.array_equal(images(config, weighted), images(smoke, weighted))
    do("sample", config, CELL, weighted)
    checkpoint = read_record(weighted.record("sample", CELL)).checkpoint
    assert checkpoint is not None
    assert checkpoint.name == path.name
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint.schedule["beta_end"] == 0.02
    assert (checkpoint.prediction, checkpoint.clip) == ("eps", True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"data": {"resolution": 8}}, r"models\.DDPM\.weights: made for images of 8×8, but"),
        ({"schedule": {"kind": "cosine"}}, "with the schedule cosine, not linear: correct"),
        ({"network": {}}, "its header: "),
    ],
)
def test_weights_that_have_changed_since_the_config_was_read_are_refused(
    smoke: Config, weighted: Run, header: dict[str, object], expected: str
) -> None:
    path = weighted.weights("DDPM-linear")
    config = ready(smoke, path)
    tensors, spec = load_weights(path)
    save_weights(path, tensors, spec | header)
    with pytest.raises(BenchmarkError, match=expected):
        do("sample", config, CELL, weighted)
    assert not weighted.samples(CELL).exists()


def test_a_schedule_s_options_come_with_the_weights(smoke: Config, weighted: Run) -> None:
    path = weighted.weights("DDPM-linear")
    tensors, spec = load_weights(path)
    save_weights(path, tensors, spec | {"schedule": {"kind": "linear", "T": 500}})
    config = ready(smoke, path)
    sampling = CellSampling(sample_job(config, CELL), weighted, torch.device("cpu"))
    assert sampling.process.length == 500
    do("sample", config, CELL, weighted)
    assert read_record(weighted.record("sample", CELL)).spec["schedule"]["T"] == 500


def test_weights_that_are_gone_are_one_line(smoke: Config, weighted: Run) -> None:
    path = weighted.weights("DDPM-linear")
    config = ready(smoke, path)
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"DDPM-linear\.safetensors: cannot be read"):
        do("sample", config, CELL, weighted)


def test_a_schedule_that_is_stated_as_the_weights_have_it_is_right(
    smoke: Config, weighted: Run
) -> None:
    path = weighted.weights("DDPM-linear")
    config = ready(smoke, path, schedules={"linear": {"kind": "linear"}})
    assert (
        CellSampling(sample_job(config, CELL), weighted, torch.device("cpu")).process.length == 1000
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_of_ncsn_is_sampled_and_recorded(
    smoke: Config, run: Run, tmp_path: Path, legacy: bool
) -> None:
    torch.set_num_threads(1)
    spec = RefineNet(channels=4, levels=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.DataParallel(
            RefineNetModule(spec)
        )  # its names begin with module., as there
    path = tmp_path / "checkpoint.pth"
    torch.save([network.state_dict(), {}], path, _use_new_zipfile_serialization=not legacy)
    content = smoke.model_dump(mode="json")
    content["models"]["NCSN"] = {
        "family": "NCSN",
        "data": "tiny",
        "weights": {
            "kind": "ncsn",
            "path": str(path),
            "network": spec.model_dump(),
            "resolution": 16,
            "sigma_max": 0.5,
        },
    }
    entry = {"table": "ready", "model": "NCSN", "schedule": "geometric"}
    content["grid"] = [entry | {"sampler": "annealed-langevin", "steps": 6, "samples": 4}]
    config = parse_config(content)
    cell = config.cells[0].id
    record = do("sample", config, cell, run)
    found = np.load(run.samples(cell))
    assert found.shape == (4, 16, 16, 3)
    assert len(np.unique(found)) > 100
    assert record == read_record(run.record("sample", cell))
    assert record.timing is not None
    assert record.timing.network_evaluations == 6
    assert record.checkpoint is not None
    assert record.checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.checkpoint.schedule["levels"] == 3
    assert record.checkpoint.schedule["sigma_max"] == 0.5
    assert (record.checkpoint.prediction, record.checkpoint.clip) == ("score", False)
    sampling = CellSampling(sample_job(config, cell), run, torch.device("cpu"))
    assert sampling.model.network.state_dict().keys() == RefineNetModule(spec).state_dict().keys()


def test_batches_may_be_smaller_than_the_picture_of_the_chain(smoke: Config, weighted: Run) -> None:
    config = smoke.model_copy(update={"sampling_batch": 2})
    do("sample", config, CELL, weighted)
    assert Image.open(weighted.chain(CELL)).height < Image.open(weighted.grid(CELL)).width


@pytest.mark.parametrize("cell", [CELL, "DDIM-linear-ddim-5-s0"])
def test_half_precision_gives_nearly_the_images_of_float32(
    smoke: Config, weighted: Run, cell: str
) -> None:
    # Of 255 levels: bfloat16 keeps 8 bits of a network's output, whose errors the steps add up.
    exact = images(smoke, weighted, cell).astype(int)
    half = images(smoke.model_copy(update={"precision": "bf16"}), weighted, cell)
    difference = np.abs(half - exact)
    assert difference.max() > 0  # it was used
    assert difference.mean() < 1
    assert np.quantile(difference, 0.99) < 10


@pytest.mark.parametrize("compiled", [False, True])
def test_the_record_says_how_the_network_computed(
    smoke: Config, weighted: Run, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    compilations: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compilations.append(self))
    config = smoke.model_copy(update={"precision": "bf16", "compile": compiled})
    do("sample", config, CELL, weighted)
    machine = read_record(weighted.record("sample", CELL)).provenance
    assert (machine.precision, machine.compiled) == ("bf16", compiled)
    assert len(compilations) == compiled


def test_tf32_without_a_gpu_is_refused(smoke: Config, weighted: Run) -> None:
    config = smoke.model_copy(update={"precision": "tf32"})
    with pytest.raises(BenchmarkError, match="precision: tf32 is a format of GPUs"):
        do("sample", config, CELL, weighted)
    assert not weighted.samples(CELL).exists()


def test_float32_is_ieee_s_on_a_gpu_too_and_only_inside() -> None:
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [backend.fp32_precision for backend in backends]
    with arithmetic("float32", torch.device("cpu")):
        assert [backend.fp32_precision for backend in backends] == ["ieee", "ieee"]
    with arithmetic("tf32", torch.device("cuda")):
        assert [backend.fp32_precision for backend in backends] == ["tf32", "tf32"]
    assert [backend.fp32_precision for backend in backends] == before


def test_batches_of_every_size_are_warmed_up(
    smoke: Config, weighted: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, int]] = []
    draw = CellSampling.draw

    def watched(self: CellSampling, indices: range, timesteps: np.ndarray) -> torch.Tensor:
        drawn.append((len(indices), len(timesteps)))
        return draw(self, indices, timesteps)

    monkeypatch.setattr(CellSampling, "draw", watched)
    images(smoke, weighted, CELL, batch=3)
    assert drawn == [(3, 2), (3, 10), (3, 10), (2, 2), (2, 10)]
