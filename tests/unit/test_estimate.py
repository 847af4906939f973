"""Estimates: evaluations, FLOPs and disk are exact; what is not known is said."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from analytic import ON_PATHS
from rich.console import Console
from test_contention import seen
from torch import Tensor, nn
from typer.testing import CliRunner

import benchmark.tools.estimate
import benchmark.tools.network_cost
from benchmark.cli.app import app
from benchmark.config.building import sample_job
from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.config.training import Training
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.denoiser import Denoiser
from benchmark.diffusion.noise_levels import FINE_LEVELS, times_of_levels
from benchmark.diffusion.objective import objective
from benchmark.diffusion.processes.base import Process
from benchmark.diffusion.processes.sde import SDE
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.networks.refinenet import RefineNet
from benchmark.models.networks.unet import UNet
from benchmark.models.weights import save_weights
from benchmark.records.contention import Contention, ContentionMonitor, Counters
from benchmark.stages.sample import CellSampling
from benchmark.stages.trainer import Trainer, TrainingSet
from benchmark.storage.paths import Run
from benchmark.tools.estimate import (
    TRAINED_COPIES,
    CostRow,
    RunEstimate,
    architecture,
    estimate,
    trained_images,
)
from benchmark.tools.estimate_text import prefixed, show
from benchmark.tools.network_cost import evaluations, flops, seconds_an_image, training_flops

torch.set_num_threads(1)

PROJECT = Path(__file__).parents[2]
SMOKE = PROJECT / "tests" / "workflow" / "smoke.yaml"
CPU = torch.device("cpu")
UNET: dict[str, Any] = {
    "kind": "unet",
    "channels": [8],
    "attention": [False],
    "groups": 4,
    "layers": 1,
}
CONFIG_JSON = {
    "_class_name": "UNet2DModel",
    "sample_size": 16,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
SCHEDULER_JSON = {
    "_class_name": "DDPMScheduler",
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "num_train_timesteps": 1000,
}
CELEBAHQ = "google/ddpm-celebahq-256"  # whose architecture is in benchmark/reference/networks/
# schedule, sampler with its options, steps
SAMPLED: list[tuple[str, dict[str, Any], int]] = [
    ("linear", {"kind": "ddpm"}, 5),
    ("cosine", {"kind": "ddim"}, 4),
    ("linear", {"kind": "dpm-solver++"}, 5),
    ("linear", {"kind": "unipc"}, 5),
    ("linear", {"kind": "heun"}, 5),
    ("vp", {"kind": "euler-maruyama"}, 5),
    ("sub-vp", {"kind": "predictor-corrector"}, 4),
    ("vp", {"kind": "predictor-corrector", "corrections": 2, "order": "predictor-first"}, 4),
    ("geometric", {"kind": "annealed-langevin"}, 20),
    ("geometric", {"kind": "annealed-langevin", "denoise": True}, 20),
]


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


class Normal(nn.Module):
    """ε̂ of images that are standard normal, under the VP SDE of the default schedule: σ x."""

    def __init__(self) -> None:
        super().__init__()
        self.process = SCHEDULES.make("vp").process()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return float(self.process.sigma(float(condition[0].double()) / 999)) * x


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let measurements be short."""
    monkeypatch.setattr(benchmark.tools.network_cost, "LEAST_SECONDS", 0.001)
    monkeypatch.setattr(benchmark.tools.estimate, "PROBE_SECONDS", 0.001)


def content(**changes: Any) -> dict[str, Any]:
    found = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
    found["evaluation"]["sizes"] = []  # a grid of fewer samples may follow
    return found | changes


def pretrained(weights: dict[str, Any], resolution: int = 16) -> Config:
    """A grid of one cell with ready weights."""
    data = content()["data"]
    data["tiny"]["resolution"] = resolution
    entry = {"table": "t", "model": "M", "schedule": "linear", "sampler": "ddim", "steps": 3}
    model = {"family": "DDIM", "data": "tiny", "weights": weights}
    return parse_config(content(data=data, models={"M": model}, grid=[entry | {"samples": 4}]))


def printed(found: RunEstimate) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    show(found, console)
    return " ".join(console.export_text().split())


def test_flops_of_a_convolution_are_two_for_each_multiplication() -> None:
    process = SCHEDULES.make("linear").process()
    forward = 2 * 3 * 5 * 9 * 16 * 16
    assert flops(Convolution(), 16, process) == forward
    # The gradient of the weights costs as much, that of the images is not needed.

    def total(network: Any, images: Tensor, *unused: Any) -> Tensor:
        return network(images, torch.zeros(1)).sum()

    assert training_flops(Convolution(), total, 16) == 2 * forward


def test_flops_count_the_products_inside_attention() -> None:
    process = SCHEDULES.make("linear").process()
    plain = UNet.model_validate(UNET)
    without = plain.model_copy(update={"mid_attention": False}).build(16)
    pixels, width = 16 * 16, 8
    projections, products = 4 * 2 * pixels * width**2, 2 * 2 * pixels**2 * width
    attention = flops(plain.build(16), 16, process) - flops(without, 16, process)
    assert attention == projections + products


@pytest.mark.parametrize(("schedule", "sampler", "steps"), SAMPLED, ids=str)
def test_as_many_evaluations_as_sampling_counts(
    schedule: str, sampler: dict[str, Any], steps: int, tmp_path: Path
) -> None:
    network: dict[str, Any] = UNET
    if schedule == "geometric":
        network = {"kind": "refinenet", "channels": 4}
    entry = {"table": "t", "model": "DDPM", "schedule": schedule, "sampler": "s", "steps": steps}
    config = parse_config(
        content(networks={"net": network}, samplers={"s": sampler}, grid=[entry | {"samples": 3}])
    )
    cell, run = config.cells[0], Run(tmp_path / "run")
    assert cell.trained_as is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = config.networks["net"].build(16).state_dict()
    # An untrained score network diverges, which takes as many evaluations.
    job = sample_job(config, cell.id)
    assert job.trained is not None
    save_weights(run.weights(cell.trained_as), weights, job.trained.spec())
    sampling = CellSampling(job, run, CPU)
    sampling.draw(range(3), sampling.timesteps)
    process = config.schedule(schedule).process()
    found = evaluations(process, config.sampler("s"), steps)
    assert found == (sampling.model.evaluations / 3, True)


@pytest.mark.parametrize("name", ON_PATHS)
def test_only_the_adaptive_solver_depends_on_the_network(name: str) -> None:
    sampler = SAMPLERS.make(name)
    processes = [SCHEDULES.make(kind).process() for kind in ("linear", "ve", "geometric")]
    process = next(process for process in processes if sampler.is_defined_for(process))
    _, exact = evaluations(process, sampler, 20)
    assert exact == (name != "probability-flow") == (not sampler.adaptive)


def test_the_adaptive_solver_is_counted_on_the_score_of_a_standard_normal() -> None:
    process = SCHEDULES.make("vp").process()
    sampler = SAMPLERS.make("probability-flow")
    assert isinstance(process, SDE)
    generator = torch.Generator().manual_seed(0)
    x_T = torch.randn((1, 3, 2, 2), generator=generator)
    model = Denoiser(Normal(), process)
    sampler.sample(model, process, x_T, sampler.plan(process, 10), lambda: x_T)
    found, _ = evaluations(process, sampler, 10)
    assert abs(found - model.evaluations) <= 12  # rounding moves a step: six evaluations each


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({"steps": 7, "batch": 4}, 10),
        ({"steps": 2, "batch": 4}, 10),
        ({"epochs": 3, "batch": 4}, 10),
        ({"epochs": 1, "batch": 16}, 10),
        ({"steps": 5, "batch": 16}, 10),
    ],
)
def test_images_of_a_training_are_those_that_its_steps_take(
    settings: dict[str, int], images: int, tmp_path: Path
) -> None:
    training = Training.model_validate(settings)
    trainer = trainer_of(UNet.model_validate(UNET).build(8), training, images, tmp_path)
    taken = sum(len(trainer._batch(step)) for step in range(trainer.total))
    assert trained_images(training, images) == taken


def trainer_of(network: nn.Module, settings: Training, images: int, state: Path) -> Trainer:
    process = SCHEDULES.make("linear").process()
    return Trainer(
        network=network,
        loss=objective(process),
        data=TrainingSet(torch.zeros((images, 8, 8, 3), dtype=torch.uint8)),
        settings=settings,
        seed=0,
        state=state,
    )


def test_a_state_holds_as_many_copies_of_the_weights_as_are_counted(tmp_path: Path) -> None:
    network = UNet.model_validate(UNET).build(8)
    trainer = trainer_of(network, Training(steps=1, batch=2), 2, tmp_path)
    trainer.step(0)
    parameters = sum(p.numel() for p in network.parameters())

    def numbers(value: Any) -> int:
        if isinstance(value, Tensor):
            return value.numel() if value.ndim else 0  # AdamW's counters of steps are scalars
        return sum(map(numbers, value.values())) if isinstance(value, dict) else 0

    assert numbers(trainer._state()) == TRAINED_COPIES * parameters


@pytest.mark.parametrize(
    ("cost", "room", "batch"),
    [
        (0.1, 64, 8),  # 8 images take 0.8 s: twice as many would take longer than a second
        (0.1, 4, 4),
        (0.01, 64, 64),
        (5.0, 64, 1),
    ],
)
def test_batches_grow_while_a_call_is_short_and_fits(
    monkeypatch: pytest.MonkeyPatch, cost: float, room: int, batch: int
) -> None:
    def clock(call: Callable[[int], object], size: int, device: torch.device) -> float:
        call(size)
        return cost * size

    def call(size: int) -> None:
        if size > room:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(benchmark.tools.network_cost, "_clock", clock)
    seconds, found = seconds_an_image(call, 64, CPU)
    assert found == batch
    assert seconds == pytest.approx(cost)


def test_the_first_call_is_not_timed_and_no_batch_is_larger_than_asked_for(quick: None) -> None:
    sizes: list[int] = []
    seconds_an_image(sizes.append, 3, CPU)
    assert sizes[:4] == [1, 1, 2, 3]
    assert max(sizes) == 3


def test_one_image_that_does_not_fit_is_an_error() -> None:
    def call(size: int) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(BenchmarkError, match="one image does not fit"):
        seconds_an_image(call, 4, CPU)


def by_level(process: Process) -> int:
    """Return the passes for the errors by level of noise, of all 24 + 8 images."""
    return 32 * len(times_of_levels(process, FINE_LEVELS))


def test_rows_of_a_grid_multiply_what_was_measured(smoke: Config, quick: None) -> None:
    found = estimate(smoke, Run(Path("none") / smoke.run), threads=1)
    rows = {row.name: row for row in found.rows}
    network = smoke.networks["net"].build(16)
    process = smoke.schedule("linear").process()
    parameters = sum(p.numel() for p in network.parameters())
    once = flops(network, 16, process)
    sampled, trained = rows["DDPM-linear-ddpm-10-s0"], rows["DDPM-linear"]
    assert sampled.parameters == trained.parameters == parameters
    assert sampled.flops == once * 10 * 8
    assert rows["DDIM-linear-ddim-5-s0"].flops == once * 5 * 8
    assert trained.images == 12 * 8
    full = training_flops(network, objective(process), 16)
    assert trained.flops == pytest.approx(full * (96 + by_level(process) / 3))
    # One network, one measurement.
    assert sampled.seconds == pytest.approx(2 * rows["DDIM-linear-ddim-5-s0"].seconds)  # type: ignore[operator]
    assert trained.seconds == rows["DDIM-linear"].seconds
    assert rows["efficientnet-lite0"].images == 24 + 8 + 4 * 8 + 5 * 8  # and five controls
    names = ["DDPM-linear", "DDPM-cosine", "DDIM-linear", "DDIM-cosine"]
    assert [row.name for row in found.rows[:4]] == names  # as the config names them
    assert not found.lower_bound
    assert found.disk == {
        "prepared images": 32 * 16 * 16 * 3,
        "trained weights": 4 * 4 * parameters,
        "states of one training under way": 3 * 4 * 4 * parameters,
        "weights from the hub": 0,
        "samples": 4 * 8 * 16 * 16 * 3,
        "controls": 5 * 8 * 16 * 16 * 3,
        "features": 4 * 1280 * (9 * 8 + 2 * 32),
    }


def test_a_training_counts_the_held_out_losses_that_it_measures(smoke: Config, quick: None) -> None:
    short = smoke.training["short"].model_copy(update={"held_out_points": 3})
    config = smoke.model_copy(update={"training": {"short": short}})
    found = estimate(config, Run(Path("none") / smoke.run), threads=1)
    [trained] = [row for row in found.rows if row.name == "DDPM-linear"]
    process = smoke.schedule("linear").process()
    full = training_flops(smoke.networks["net"].build(16), objective(process), 16)
    held_out = smoke.data["tiny"].held_out
    # Four draws of noise each time; a pass without its backward pass has a third of the arithmetic.
    passes = 3 * 4 * held_out + by_level(process)
    assert trained.flops == pytest.approx(full * (12 * 8 + passes / 3))


def test_a_checkpoint_that_is_nowhere_is_unknown_and_the_totals_say_so(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an estimate downloads nothing")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    config = pretrained({"kind": "diffusers", "source": "nobody/nothing"})
    found = estimate(config, Run(tmp_path / "run"), threads=1)
    row = found.rows[0]
    assert (row.evaluations, row.seconds, row.flops) == (3, None, None)
    assert "nobody/nothing is not on this machine" in row.unknown
    assert found.lower_bound
    text = printed(found)
    assert "Time: at least " in text
    assert "Unknown: sample M-linear-ddim-3-s0: nobody/nothing" in text


def test_a_published_architecture_needs_no_files(tmp_path: Path) -> None:
    config = pretrained({"kind": "diffusers", "source": CELEBAHQ}, resolution=256)
    known = architecture(config, config.cells[0], Run(tmp_path / "run"))
    with torch.device("meta"):
        assert sum(p.numel() for p in known.build().parameters()) == 113_673_219
    assert known.origin == "published: google--ddpm-celebahq-256.json"


def test_weights_that_the_grid_does_not_fit_are_not_priced(tmp_path: Path, quick: None) -> None:
    config = pretrained({"kind": "diffusers", "source": CELEBAHQ})
    row = estimate(config, Run(tmp_path / "run"), threads=1).rows[0]
    assert row.seconds is None
    assert row.unknown.startswith("models.M.weights: made for images of 256×256, but those of data")


def write_pipeline(folder: Path, nested: bool, **changes: Any) -> None:
    """Write a pipeline's configuration, in its two folders or flat, and an empty file of weights.

    Args:
        folder: where.
        nested: in two folders.
        changes: of the scheduler's configuration and of the network's.
    """
    network, scheduler = (folder / "unet", folder / "scheduler") if nested else (folder, folder)
    for part in (network, scheduler):
        part.mkdir(parents=True, exist_ok=True)
    of_network = CONFIG_JSON | {k: v for k, v in changes.items() if k not in SCHEDULER_JSON}
    of_scheduler = SCHEDULER_JSON | {k: v for k, v in changes.items() if k in SCHEDULER_JSON}
    (network / "config.json").write_text(json.dumps(of_network))
    (scheduler / "scheduler_config.json").write_text(json.dumps(of_scheduler))
    (network / "diffusion_pytorch_model.bin").touch()


def cached(root: Path) -> Path:
    """The folder of CELEBAHQ in the cache of a hub, which knows it as its main branch."""
    repository = root / ".cache/hub" / f"models--{CELEBAHQ.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    return repository / "snapshots" / ("0" * 40)


@pytest.mark.parametrize("nested", [True, False])
def test_files_at_hand_come_before_what_is_published(tmp_path: Path, nested: bool) -> None:
    run = Run(tmp_path / "results" / "run")
    folder = tmp_path / "folder"
    write_pipeline(cached(run.root.parent), nested)
    write_pipeline(folder, nested)
    for source in (CELEBAHQ, str(folder)):
        config = pretrained({"kind": "diffusers", "source": source})
        known = architecture(config, config.cells[0], run)
        assert known.origin == f"{source}, at hand"
        assert sum(p.numel() for p in known.build().parameters()) < 20_000


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"num_train_timesteps": 2}, r"steps: 3 are more than the 2 times of the schedule"),
        ({"beta_schedule": "exp"}, r"scheduler_config\.json: beta_schedule is 'exp'"),
        ({"beta_start": 0.5}, r"scheduler_config\.json: schedule: .*beta_start = 0\.5"),
        ({"act_fn": "nothing"}, r"config\.json: diffusers builds no network of it"),
        ({"act_fn": "gelu", "layers_per_block": "x"}, "diffusers builds no network of it"),
        ({"down_block_types": None}, "diffusers builds no network of it"),
        ({"sample_size": {}}, r"config\.json: sample_size is \{\}"),
    ],
)
def test_a_checkpoint_that_cannot_be_sampled_is_one_unknown_row(
    tmp_path: Path, quick: None, changes: dict[str, Any], wrong: str
) -> None:
    run = Run(tmp_path / "results" / "run")
    write_pipeline(cached(run.root.parent), nested=True, **changes)
    config = pretrained({"kind": "diffusers", "source": CELEBAHQ})
    found = estimate(config, run, threads=1)
    row = found.rows[0]
    assert (row.name, row.seconds, row.evaluations) == ("M-linear-ddim-3-s0", None, 3)
    assert re.search(wrong, row.unknown)
    assert "\n" not in row.unknown
    assert found.rows[1].seconds is not None  # of the features


def test_a_network_that_only_diffusers_has_is_priced(tmp_path: Path, quick: None) -> None:
    folder = tmp_path / "folder"
    write_pipeline(folder, nested=False, act_fn="gelu")
    config = pretrained({"kind": "diffusers", "source": str(folder)})
    row = estimate(config, Run(tmp_path / "run"), threads=1).rows[0]
    assert row.unknown == ""
    assert row.parameters is not None
    assert row.flops is not None


def test_the_network_of_ncsn_and_of_an_own_file_are_known(tmp_path: Path) -> None:
    entry = {"table": "t", "model": "M", "schedule": "geometric", "sampler": "annealed-langevin"}
    weights = {"kind": "ncsn", "path": "missing.pth", "network": {"channels": 4}, "resolution": 16}
    model = {"family": "NCSN", "data": "tiny", "weights": weights}
    config = parse_config(content(models={"M": model}, grid=[entry | {"steps": 10, "samples": 3}]))
    run = Run(tmp_path / "run")
    ncsn = architecture(config, config.cells[0], run).build()
    assert ncsn.state_dict().keys() == RefineNet(channels=4).build(16).state_dict().keys()
    spec = UNet.model_validate(UNET)
    trained = {
        "network": spec.model_dump(mode="json"),
        "schedule": {"kind": "linear", "T": 100},
        "data": {"resolution": 16},
        "training": {},
    }
    path = tmp_path / "own.safetensors"
    save_weights(path, spec.build(16).state_dict(), trained)
    config = pretrained({"kind": "own", "path": str(path)})
    own = architecture(config, config.cells[0], run)
    assert own.build().state_dict().keys() == spec.build(16).state_dict().keys()
    assert own.schedule.model_dump()["T"] == 100


def test_an_inexact_row_and_a_busy_machine_are_marked() -> None:
    row = CostRow(
        "sample", "cell", 2, 104, exact=False, parameters=10, flops=2e12, seconds=30, batch=1
    )
    found = RunEstimate("r", "cpu", 2, cores=2, load=3.0, rows=[row], disk={"samples": 2048})
    busy = dataclasses.replace(found, busy="0.8 of a core by others")
    text = printed(busy)
    assert "~104 ~2 T 1 ~30 s" in text
    assert "kept this machine busy (0.8 of a core by others): these are times of one thread" in text
    assert "up to 2 times those of 2" in text
    assert "at least" not in text
    assert "up to" not in printed(dataclasses.replace(busy, threads=1))
    assert "busy" not in printed(found)


class Others:
    """A monitor that finds at each call the next of these numbers of cores busy with other work."""

    def __init__(self, *cores: float | None) -> None:
        self.cores = iter(cores)

    def begin(self) -> None:
        pass

    def found(self) -> Contention:
        return seen(others=next(self.cores))


class Clock:
    """Counters of a machine on which others use 0.8 of a core, on a clock that only sleep moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def read(self) -> Counters:
        return Counters(self.seconds, busy=0.8 * self.seconds, own=0.0)


@pytest.mark.parametrize(
    ("cores", "threads", "busy"),
    [
        ((0.0, 0.0), [2], ""),
        ((1.5,), [1], "1.5 cores by others"),  # before anything is measured
        ((0.0, 0.8), [2, 1], "0.8 of a core by others"),  # while it is
    ],
)
def test_on_a_busy_machine_one_thread_is_measured(
    cores: tuple[float, ...],
    threads: list[int],
    busy: str,
    smoke: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[int] = []
    monkeypatch.setattr(benchmark.tools.estimate, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(benchmark.tools.estimate, "monitor_machine", lambda device: Others(*cores))

    def rows(config: Config, run: Run, device: torch.device, threads: int) -> list[CostRow]:
        measured.append(threads)
        return []

    monkeypatch.setattr(benchmark.tools.estimate, "_rows", rows)
    monkeypatch.setattr(benchmark.tools.estimate, "_disk", lambda *_: {})
    monkeypatch.setattr(benchmark.tools.estimate, "use_threads", lambda _: None)
    found = estimate(smoke, Run(Path("none")), threads=2)
    assert (measured, found.busy, found.threads) == (threads, busy, 2)


def test_the_second_before_anything_is_measured_is_looked_at(
    smoke: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    measured: list[int] = []
    monkeypatch.setattr(benchmark.tools.estimate.time, "sleep", clock.sleep)
    monkeypatch.setattr(
        benchmark.tools.estimate, "monitor_machine", lambda _: ContentionMonitor(read=clock.read)
    )

    def rows(config: Config, run: Run, device: torch.device, threads: int) -> list[CostRow]:
        measured.append(threads)
        return []

    monkeypatch.setattr(benchmark.tools.estimate, "_rows", rows)
    monkeypatch.setattr(benchmark.tools.estimate, "_disk", lambda *_: {})
    monkeypatch.setattr(benchmark.tools.estimate, "use_threads", lambda _: None)
    found = estimate(smoke, Run(Path("none")), threads=2)
    assert (measured, found.busy) == ([1], "0.8 of a core by others")


def test_on_a_busy_gpu_nothing_is_estimated() -> None:
    with pytest.raises(BenchmarkError, match=r"busy: 0\.8 of a core by others: .* when idle") as e:
        benchmark.tools.estimate._busy(seen(others=0.8), 0.0, torch.device("cuda"))
    assert "\n" not in str(e.value)


def test_where_others_are_not_told_the_load_counts() -> None:
    unknown = seen(others=None)
    assert benchmark.tools.estimate._busy(unknown, 3.0, CPU) == "a load of 3.0"
    assert benchmark.tools.estimate._busy(unknown, 0.4, CPU) == ""
    assert benchmark.tools.estimate._busy(unknown, None, CPU) == ""
    assert benchmark.tools.estimate._busy(seen(others=0.0), 3.0, CPU) == ""  # it is over


def test_a_call_that_waits_for_others_takes_no_longer_than_its_own_work() -> None:
    assert benchmark.tools.network_cost._clock(lambda _: time.sleep(0.3), 1, CPU) < 0.2


def test_the_time_of_a_network_is_a_median(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.5, 0.1, 0.1, 0.1, 0.1, 0.7])  # the first is not counted
    monkeypatch.setattr(benchmark.tools.network_cost, "_clock", lambda *_: next(times))
    assert seconds_an_image(lambda _: None, 1, CPU) == (0.1, 1)


@pytest.mark.parametrize(
    ("number", "text"), [(950, "950 "), (113_673_219, "114 M"), (1.2e16, "12 P"), (1e6, "1 M")]
)
def test_numbers_take_the_prefix_of_a_thousand(number: float, text: str) -> None:
    assert prefixed(number) == text


def test_machines_read_json_from_stdout(tmp_path: Path, quick: None) -> None:
    command = ["estimate", str(SMOKE), "--format", "json", "--threads", "1"]
    done = CliRunner().invoke(app, [*command, "--results", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["stage"] for row in found["rows"]] == ["train"] * 4 + ["sample"] * 4 + ["features"]
    assert found["total"]["seconds"] == pytest.approx(sum(r["seconds"] for r in found["rows"]))
    assert found["total"]["flops"] == sum(row["flops"] for row in found["rows"])
    assert found["total"]["disk_bytes"] == sum(found["disk"].values())
    assert found["total"]["lower_bound"] is False
    assert found["threads"] == 1
    assert not list(tmp_path.iterdir())


def test_help_has_an_example_and_imports_no_torch() -> None:
    code = (
        "import sys; from benchmark.cli.app import app; sys.argv = ['benchmark', 'estimate', "
        "'--help']\ntry: app()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    assert "estimate config/report.yaml" in " ".join(done.stdout.split())
