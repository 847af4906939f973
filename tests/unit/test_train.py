"""Training: the learning rate, the average, resuming, and what happens when it diverges."""

from __future__ import annotations

import copy
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from stages import do
from torch import Tensor, nn

from benchmark.config.building import train_job
from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.config.training import Training
from benchmark.core import closure
from benchmark.core.errors import BenchmarkError
from benchmark.core.seeds import stream_seed
from benchmark.models.weights import load_weights
from benchmark.records.contention import Contention
from benchmark.records.record import read_record
from benchmark.runtime.model_range import dequantised, to_model_range
from benchmark.runtime.process_group import ONE_PROCESS, ProcessGroup
from benchmark.runtime.stopping import Budget, Stopped
from benchmark.runtime.training_state import load_state, save_state
from benchmark.stages.train import _trainer
from benchmark.stages.trainer import Trainer, TrainingSet, learning_rate
from benchmark.storage.paths import Run

SMOKE = Path(__file__).parents[1] / "workflow" / "smoke.yaml"


def mse(network: nn.Module, images: Tensor, generator: torch.Generator, rows: slice) -> Tensor:
    noise = torch.randn(images.shape, generator=generator)
    return (network((images + noise)[rows]) - images[rows]).square().mean()


def trainer(
    state: Path, loss: Any = mse, held_out: Tensor | None = None, **settings: Any
) -> Trainer:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 3, 1))
    images = torch.randint(0, 256, (10, 8, 8, 3), dtype=torch.uint8)
    chosen = {"steps": 20, "batch": 4, "warmup": 3, "log_every": 4, "save_seconds": 1e-9} | settings
    return Trainer(
        network, loss, TrainingSet(images, held_out), Training(**chosen), seed=7, state=state
    )


def anything(state: dict[str, Any]) -> bool:
    return True


class KilledError(Exception):
    pass


def dying_at(call: int) -> Any:
    calls = 0

    def loss(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KilledError
        return mse(*arguments)

    return loss


@pytest.mark.parametrize("call", [1, 6, 13, 20])
def test_a_training_that_dies_and_goes_on_ends_with_the_same_bits(
    tmp_path: Path, call: int
) -> None:
    whole = trainer(tmp_path / "whole", flip=True)
    whole.run("whole")
    with pytest.raises(KilledError):
        trainer(tmp_path / "cut", loss=dying_at(call), flip=True).run("cut")
    resumed = trainer(tmp_path / "cut", flip=True)
    resumed.run("cut")
    for name, weights in whole.averaged.items():
        assert torch.equal(weights, resumed.averaged[name])
    assert whole.progress.losses == resumed.progress.losses
    assert whole.curve().steps == [4, 8, 12, 16, 20]


def test_a_state_of_other_code_is_not_continued(
    run: Run, smoke: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    network = "import mine_layer\n\n\ndef network(resolution):\n    return mine_layer.layer()\n"
    layer = "from torch import nn\n\n\ndef layer():\n    return nn.Conv2d(3, 3, {size})\n"
    (tmp_path / "mine_net.py").write_text(network)
    (tmp_path / "mine_layer.py").write_text(layer.format(size=1))
    monkeypatch.setenv(closure.MODULES, str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    content = smoke.model_dump(mode="json")
    content["networks"]["net"] = {"kind": "custom", "factory": "mine_net:network"}
    config = parse_config(content)

    def state() -> Path:
        return _trainer(
            train_job(config, "DDPM-linear"), run, ONE_PROCESS, torch.device("cpu")
        ).state

    saved = save_state(state(), 5, {})
    assert state() == saved.parent
    (tmp_path / "mine_layer.py").write_text(layer.format(size=1) + "# a comment\n")
    state()
    assert saved.exists()
    assert capsys.readouterr().err == ""
    (tmp_path / "mine_layer.py").write_text(layer.format(size="1, bias=False"))
    state()
    assert not saved.exists()
    assert capsys.readouterr().err == (
        "train DDPM-linear: the code has changed since its state was saved (mine_layer): "
        "beginning anew\n"
    )


def command(results: Path) -> list[str]:
    verb = [sys.executable, "-m", "benchmark", "train", str(SMOKE), "DDPM-linear"]
    return [*verb, "--results", str(results)]


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_with_the_same_file(
    tmp_path: Path, prepared: Run, smoke: Config
) -> None:
    runs = {name: Run(tmp_path / name / smoke.run) for name in ("whole", "killed")}
    for run in runs.values():
        run.data("tiny").parent.mkdir(parents=True)
        run.data("tiny").symlink_to(prepared.data("tiny"))
    subprocess.run(command(tmp_path / "whole"), check=True)
    kills = 0
    moments = random.Random(0)
    while True:
        job = subprocess.Popen(command(tmp_path / "killed"))
        folder = runs["killed"].root / "state"
        before = sorted(folder.glob("*/*.pt"))
        while job.poll() is None and kills < 3 and sorted(folder.glob("*/*.pt")) == before:
            time.sleep(0.005)
        if kills == 3 or job.poll() is not None:
            break
        time.sleep(moments.uniform(0, 0.05))
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
        kills += 1
    assert job.wait() == 0
    assert kills >= 1
    weights = [run.weights("DDPM-linear").read_bytes() for run in runs.values()]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_step_rate_and_last_good_state(
    tmp_path: Path, value: float
) -> None:
    calls = 0

    def loss(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return mse(*arguments) * (value if calls == 11 else 1)

    with pytest.raises(BenchmarkError) as caught:
        trainer(tmp_path, loss).run("diverging")
    message = str(caught.value)
    assert "at step 10 " in message
    assert f"learning rate {learning_rate(trainer(tmp_path).settings, 10, 20):.3g}" in message
    assert "000000008-" in message  # the state saved after step 7
    state = load_state(tmp_path, torch.device("cpu"), anything)
    assert state is not None
    assert all(w.isfinite().all() for w in state["network"].values())


def test_the_learning_rate_rises_linearly_then_falls_as_half_a_cosine() -> None:
    settings = Training(steps=110, warmup=10, lr=0.2)
    rates = [learning_rate(settings, step, 110) for step in range(110)]
    assert rates[:10] == pytest.approx([0.02 * (i + 1) for i in range(10)])
    assert rates[10] == 0.2
    assert rates[60] == pytest.approx(0.1)
    assert rates[109] < 0.0001
    constant = settings.model_copy(update={"decay": "constant"})
    assert learning_rate(constant, 100, 110) == 0.2


def test_the_average_is_the_exponential_one_with_its_warm_up(tmp_path: Path) -> None:
    one = trainer(tmp_path, ema=0.5)
    expected = {k: v.clone() for k, v in one.network.state_dict().items()}
    for step in range(6):
        one.step(step)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, weights in one.network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * weights
    for name, weights in one.averaged.items():
        torch.testing.assert_close(weights, expected[name])


def test_without_an_average_the_last_weights_are_kept(tmp_path: Path) -> None:
    one = trainer(tmp_path, ema=None)
    one.run("plain")
    for name, weights in one.network.state_dict().items():
        assert torch.equal(weights, one.averaged[name])


def test_an_epoch_shows_every_image_once_and_the_next_in_another_order(tmp_path: Path) -> None:
    one = trainer(tmp_path, steps=None, epochs=2)
    assert one.total == 6
    first = torch.cat([one._batch(step) for step in range(3)])
    second = torch.cat([one._batch(step) for step in range(3, 6)])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert first.tolist() != second.tolist()


def test_a_damaged_state_gives_way_to_the_one_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_state(tmp_path, 1, {"step": 1})
    newest = save_state(tmp_path, 2, {"step": 2})
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert load_state(tmp_path, torch.device("cpu"), anything) == {"step": 1}
    assert "damaged" in capsys.readouterr().err


def test_each_sitting_of_a_training_says_what_else_ran(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        trainer(tmp_path, loss=dying_at(10)).run("t")
    continued = trainer(tmp_path)
    continued.run("t")
    first, second = [Contention.model_validate(part) for part in continued.progress.contention]
    assert first.during.seconds > 0
    assert second.during.seconds > 0
    assert sum(steps for _, steps in continued.step_laps()) == 20


def test_only_the_two_newest_states_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        save_state(tmp_path, step, {"step": step})
    assert [path.name[:9] for path in sorted(tmp_path.iterdir())] == ["000000003", "000000004"]


def test_the_stage_writes_weights_that_say_what_they_are_and_a_record(
    smoke: Config, run: Run
) -> None:
    do("train", smoke, "DDPM-linear", run)
    weights, spec = load_weights(run.weights("DDPM-linear"))
    assert spec == smoke.job("train", "DDPM-linear").spec()
    assert all(tensor.isfinite().all() for tensor in weights.values())
    record = read_record(run.record("train", "DDPM-linear"))
    assert record.curve is not None
    assert record.curve.steps == [2, 4, 6, 8, 10, 12]
    seconds, step = (record.values[f"train_seconds{unit}"] for unit in ("", "_per_step"))
    assert seconds.value > 0
    assert len(record.step_laps) == 6  # one for each loss that was logged
    assert sum(lap for lap, _ in record.step_laps) == pytest.approx(seconds.value)
    rates = [lap / steps for lap, steps in record.step_laps]
    assert step.value == pytest.approx(statistics.median(rates))
    assert step.low is not None
    assert step.low < step.value
    assert len(record.contention) == 1
    assert record.trained.models == ["DDPM"]


def test_a_finished_training_that_is_asked_for_again_trains_again(
    smoke: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    do("train", smoke, "DDPM-linear", run)
    before = run.weights("DDPM-linear").read_bytes()
    do("train", smoke, "DDPM-linear", run)
    assert run.weights("DDPM-linear").read_bytes() == before
    monkeypatch.setattr(Trainer, "_average", lambda self, step: None)  # as if the code had changed
    do("train", smoke, "DDPM-linear", run)
    assert run.weights("DDPM-linear").read_bytes() != before


def test_what_a_killed_save_leaves_is_cleared_away(tmp_path: Path) -> None:
    save_state(tmp_path, 1, {"step": 1})
    (tmp_path / ".writing-0badc0de.pt").write_bytes(b"half")
    assert load_state(tmp_path, torch.device("cpu"), anything) == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError(), RuntimeError("can't allocate memory: 1")]
)
def test_too_little_memory_is_no_damage(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_state(tmp_path, 1, {"step": 1})

    def load(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(BenchmarkError, match=r"\.pt: out of memory while it is read: free some"):
        load_state(tmp_path, torch.device("cpu"), anything)
    assert path.exists()


def test_a_process_that_is_not_to_clear_leaves_bad_states(tmp_path: Path) -> None:
    save_state(tmp_path, 1, {"step": 1})
    bad = save_state(tmp_path, 2, {"step": 2})
    bad.write_bytes(b"bad")
    assert load_state(tmp_path, torch.device("cpu"), anything, clear=False) == {"step": 1}
    assert bad.exists()


def test_processes_that_have_read_different_states_do_not_go_on(
    smoke: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProcessGroup, "is_equal_on_all", lambda self, number: False)
    with pytest.raises(BenchmarkError, match="read states of different steps"):
        do("train", smoke, "DDPM-linear", run)


SIGNALLED = """
import os, signal, sys
from benchmark.stages import train
from benchmark.cli import app
write = train.save_weights
def told_to_stop(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)
    write(*arguments)
train.save_weights = told_to_stop
app.main()
"""


def test_a_signal_after_the_last_step_does_not_undo_the_training(smoke: Config, run: Run) -> None:
    config = Path(__file__).parents[1] / "workflow" / "smoke.yaml"
    command = [sys.executable, "-c", SIGNALLED, "train", str(config), "DDPM-linear"]
    done = subprocess.run(
        [*command, "--results", str(run.root.parent)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert run.record("train", "DDPM-linear").exists()
    assert not list(run.root.glob("state/*"))


def test_damaged_weights_are_refused_in_one_line(smoke: Config, run: Run) -> None:
    path = run.weights("DDPM-linear")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(BenchmarkError, match=r"DDPM-linear\.safetensors: damaged"):
        load_weights(path)
    with pytest.raises(BenchmarkError, match="no such file of weights"):
        load_weights(run.weights("DDPM-cosine"))


def test_dequantised_grey_levels_fill_their_intervals() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 256, 1).expand(1, 64, 256, 3)
    uniform = torch.rand(1, 3, 64, 256, generator=torch.Generator().manual_seed(0))
    x = dequantised(to_model_range(levels), uniform)
    in_unit = (x + 1) / 2  # NCSN's x·255/256 + u/256 of x in [0, 1]
    expected = levels.permute(0, 3, 1, 2) / 256 + uniform / 256
    torch.testing.assert_close(in_unit, expected, rtol=0, atol=1e-6)


def test_training_dequantises_only_where_asked(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def watching(network: nn.Module, images: Tensor, *others: Any) -> Tensor:
        seen.append(images)
        return mse(network, images, *others)

    for asked in (False, True):
        trainer(tmp_path / str(asked), watching, dequantise=asked).step(0)
    grey = [(x * 127.5 + 127.5).sub((x * 127.5 + 127.5).round()).abs().max() for x in seen]
    assert grey[0] < 1e-3
    assert grey[1] > 0.1


def test_half_precision_trains_float32_weights_to_nearly_the_same(tmp_path: Path) -> None:
    exact, half = trainer(tmp_path / "a"), trainer(tmp_path / "b")
    half.precision = "bf16"
    losses = [[float(one.step(k).loss) for k in range(8)] for one in (exact, half)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert all(p.dtype == torch.float32 for p in half.network.parameters())


def test_the_average_follows_the_weights_after_a_state_is_loaded(tmp_path: Path) -> None:
    first = trainer(tmp_path, dying_at(9), ema=None)
    with pytest.raises(KilledError):
        first.run("x")
    second = trainer(tmp_path, ema=None)
    second.run("x")
    weights = second.network.state_dict()
    assert all(torch.equal(second.averaged[name], weights[name]) for name in weights)


def test_the_record_says_how_the_network_computed(
    smoke: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    compilations: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compilations.append(self))
    do("train", smoke.model_copy(update={"precision": "bf16", "compile": True}), "DDPM-linear", run)
    machine = read_record(run.record("train", "DDPM-linear")).provenance
    assert (machine.precision, machine.compiled, len(compilations)) == ("bf16", True, 1)


def test_the_loss_of_held_out_images_is_that_of_the_averaged_weights(tmp_path: Path) -> None:
    held_out = torch.randint(0, 256, (6, 8, 8, 3), dtype=torch.uint8)
    measured = trainer(tmp_path / "a", held_out=held_out, held_out_points=3)
    measured.run("t")
    plain = trainer(tmp_path / "b")
    plain.run("t")
    assert [step for step, _ in measured.curve().held_out] == [7, 14, 20]
    assert plain.curve().held_out == []
    for name, weight in plain.averaged.items():  # measuring changes nothing
        assert torch.equal(weight, measured.averaged[name])
    assert measured.curve().loss == plain.curve().loss

    network = copy.deepcopy(measured.network)
    network.load_state_dict(measured.averaged)
    generator = torch.Generator().manual_seed(stream_seed(7, "held-out loss"))
    losses = [
        float(mse(network, to_model_range(batch), generator, slice(None))) * len(batch)
        for _ in range(4)
        for batch in held_out.split(4)
    ]
    assert measured.curve().held_out[-1][1] == pytest.approx(sum(losses) / 24)


def test_what_was_measured_of_held_out_images_is_kept_over_a_stop(tmp_path: Path) -> None:
    held_out = torch.randint(0, 256, (6, 8, 8, 3), dtype=torch.uint8)
    whole = trainer(tmp_path / "whole", held_out=held_out, held_out_points=5)
    whole.run("t")
    first = trainer(tmp_path / "parts", held_out=held_out, held_out_points=5)
    with pytest.raises(Stopped):
        first.run("t", Budget(minutes=0))
    again = trainer(tmp_path / "parts", held_out=held_out, held_out_points=5)
    again.run("t")
    assert again.curve() == whole.curve()
