import json
import math
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from benchmark.cli.app import app
from benchmark.cli.options import SPEED
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.tools.speed.azula_samplers import AZULA, azula_images
from benchmark.tools.speed.timing import SpeedRow, interleave, report, take_turns

PEERS = ("pytorch_fid", "sklearn")


def test_the_two_take_turns_and_the_first_round_is_dropped() -> None:
    order: list[str] = []

    def work(name: str) -> int:
        order.append(name)
        return len(order)

    own, other = interleave(lambda: work("a"), lambda: work("b"), 2, 2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert (own, other) == ([3, 5], [4, 6])


def test_what_takes_long_is_measured_once_between_ours() -> None:
    order: list[str] = []
    own, other = interleave(lambda: order.append("a"), lambda: order.append("b"), 3, 1)
    assert order == ["a", "a", "b", "a", "a"]
    assert (len(own), len(other)) == (3, 1)
    own, other = interleave(lambda: order.append("a"), None, 3, 0)
    assert (len(own), len(other)) == (3, 0)


def test_short_work_has_many_rounds() -> None:
    own, other = take_turns(lambda: time.sleep(0.001), lambda: None, 3, least=0.02)
    assert 3 < len(own) == len(other) <= 20
    own, other = take_turns(lambda: time.sleep(0.001), lambda: None, 3, least=0)
    assert len(own) == len(other) == 3


def test_ratio_is_of_the_medians_and_its_spread_of_all_pairs() -> None:
    row = SpeedRow("work", "s", [2.0, 1.0, 4.0], [10.0, 8.0, 12.0], "peer 1.0", "ratio 5")
    assert row.ratio == 5
    assert row.spread == (2, 12)
    assert row.text() == "work: 2 (of 3) s; peer 1.0 10 (of 3) s; ratio 5 [2, 12]; target ratio 5"


def test_without_a_peer_there_is_no_ratio() -> None:
    row = SpeedRow("work", "s", [2.0], [], note="prdc is not installed")
    assert row.ratio is row.spread is None
    assert row.text() == "work: 2 s; prdc is not installed"


@pytest.fixture
def quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[dict], str]:
    from benchmark.tools.speed import metrics

    file = tmp_path / "speed.json"
    report("speed of metrics", metrics.rows(metrics.QUICK), file)
    return json.loads(file.read_text())["rows"], capsys.readouterr().out


def test_every_comparison_is_printed_with_a_finite_ratio(quick: tuple[list[dict], str]) -> None:
    for peer in (*PEERS, "prdc"):
        pytest.importorskip(peer)
    rows, printed = quick
    assert len(rows) == 8
    for row in rows:
        assert row["name"] in printed
        assert all(figure >= 0 for figure in row["ours"])
        if row["peer"] and row["unit"] == "s":  # tiny sets may need no memory at all
            assert math.isfinite(row["ratio"])
            assert f"ratio {row['ratio']:.3g}" in printed
    assert [row["name"].split()[0] for row in rows] == [
        "Inception",
        *4 * ["Fréchet"],
        *2 * ["precision,"],
        "5",
    ]


def test_a_missing_peer_is_one_line_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmark.tools.speed import metrics

    monkeypatch.setattr(metrics, "missing", lambda *_: "prdc is not installed: uv run ...")
    rows = list(metrics.neighbourhoods(metrics.QUICK))
    assert [row.theirs for row in rows] == [[], []]
    assert all(row.text().endswith("prdc is not installed: uv run ...") for row in rows)


def test_pytorch_fid_is_compared_with_whatever_sqrtm_scipy_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import scipy.linalg

    from benchmark.tools.speed import metrics

    sqrtm = scipy.linalg.sqrtm
    monkeypatch.setattr(scipy.linalg, "sqrtm", lambda matrix: sqrtm(matrix))  # no `disp`, as 1.18
    for row in metrics.time_frechet(metrics.QUICK, 30, 5):
        assert row.ratio is not None
        assert "distances differ by" in row.note


def test_matrices_that_do_not_fit_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.tools.speed import metrics

    assert metrics._too_large(10) is None
    note = metrics._too_large(10**7)
    assert note == "prdc would need about 4000000 GB: not run"


def test_guidance_is_compared_with_one_pass_of_twice_the_batch() -> None:
    from benchmark.tools.speed import bare_network, sampling
    from benchmark.tools.speed.peers import diffusers_defaults

    torch.set_num_threads(1)
    spec = diffusers_defaults(sampling.QUICK.channels)
    row = bare_network.guided(spec, "a U-Net", 3, sampling.QUICK, torch.device("cpu"))
    assert row.name == "guidance by class, a U-Net, batch 3"
    assert row.peer == "bare forward passes of batch 6"
    assert row.ratio
    assert math.isfinite(row.ratio)


@pytest.mark.slow
def test_every_sampler_is_compared_with_its_network_and_three_with_pipelines(
    tmp_path: Path,
) -> None:
    from benchmark.tools.speed import sampling

    torch.set_num_threads(1)
    file = tmp_path / "speed.json"
    done = CliRunner().invoke(app, ["speed", "sampling", "--output", str(file), "--quick"])
    assert done.exit_code == 0, done.output
    rows = json.loads(file.read_text())["rows"]
    shares = [row for row in rows if row["peer"] == "bare forward passes"]
    assert {row["name"].split(",")[0] for row in shares} == set(sampling.TIMED)
    assert len(shares) == 2 * len(sampling.TIMED)
    peers = [row for row in rows if "Pipeline of diffusers" in row["peer"]]
    assert [row["peer"].split()[0] for row in peers] == [
        "DDPMPipeline",
        "DDIMPipeline",
        "ScoreSdeVePipeline",
    ]
    assert all(row["ratio"] and math.isfinite(row["ratio"]) for row in [*shares, *peers])
    assert all("batch 2" in row["name"] or "batch 1" in row["name"] for row in rows)
    assert sum(row["name"].startswith("guidance by class") for row in rows) == 2
    (heun,) = {row["note"].split()[0] for row in shares if row["name"].startswith("heun")}
    assert int(heun) == 2 * sampling.QUICK.steps - 1
    assert all("a matrix product's" in row["note"] for row in rows if not row["theirs"])


def test_a_sampler_is_compared_with_its_network_and_with_a_pipeline(tmp_path: Path) -> None:
    from benchmark.tools.speed import sampling
    from benchmark.tools.speed.peers import diffusers_defaults

    torch.set_num_threads(1)
    sizes, cpu = sampling.QUICK, torch.device("cpu")
    run = sampling.RandomRun(
        tmp_path, diffusers_defaults((8, 8)), sizes, sampling.SpeedSetting(), cpu
    )
    share = sampling.share(run.sampling("heun"), "a U-Net", 2, sizes)
    assert share.note.startswith(f"{2 * sizes.steps - 1} evaluations of 0.0")
    assert share.ratio
    (peer,) = sampling.against_pipeline(run, "ddim", sizes)
    assert peer.ratio
    assert "batch 2" in peer.name
    assert "num_inference_steps=10" in peer.note


SCHEDULED = [name for name, part in SAMPLERS.classes.items() if part.diffusers]


@pytest.mark.parametrize("sampler", SCHEDULED)
def test_a_sampler_is_compared_with_the_scheduler_of_diffusers_that_it_names(
    sampler: str, tmp_path: Path
) -> None:
    from benchmark.tools.speed import sampling
    from benchmark.tools.speed.peers import diffusers_defaults

    torch.set_num_threads(1)
    sizes, cpu = sampling.QUICK, torch.device("cpu")
    setting = sampling.SpeedSetting()
    run = sampling.RandomRun(tmp_path, diffusers_defaults((8, 8)), sizes, setting, cpu)
    (row,) = sampling.against_pipeline(run, sampler, sizes)
    assert row.peer.startswith(f"a loop with {SAMPLERS.get(sampler).diffusers} of diffusers")
    assert row.ratio

    ours, calls = run.sampling(sampler), []
    pipeline = sampling._pipeline(ours, sampler, setting)
    pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    images = sampling._images_of(pipeline, 2, sizes.steps, "np")
    assert (images.dtype, images.shape) == (np.uint8, (2, 16, 16, 3))
    ours.model.evaluations = 0
    ours.draw(range(2), ours.timesteps)
    assert ours.model.evaluations == 2 * len(calls)  # both evaluate it as often


@pytest.mark.parametrize("sampler", AZULA)
def test_a_sampler_is_compared_with_that_of_azula(sampler: str, tmp_path: Path) -> None:
    pytest.importorskip("azula")
    from benchmark.tools.speed import sampling
    from benchmark.tools.speed.peers import diffusers_defaults, unet2d

    torch.set_num_threads(1)
    sizes, cpu = sampling.QUICK, torch.device("cpu")
    run = sampling.RandomRun(
        tmp_path, diffusers_defaults((8, 8)), sizes, sampling.SpeedSetting(), cpu
    )
    (row,) = sampling.against_azula(run, sampler, sizes)
    assert row.peer.startswith(f"{AZULA[sampler].sampler} of azula")
    assert row.ratio

    ours, calls = run.sampling(sampler), []
    unet = unet2d(ours.network, 16)
    unet.register_forward_hook(lambda *_: calls.append(1))
    images = azula_images(unet, sampler, 2, sizes.steps, cpu)
    assert (images.dtype, images.shape) == (np.uint8, (2, 16, 16, 3))
    ours.model.evaluations = 0
    ours.draw(range(2), ours.timesteps)
    last = sampler == "heun"  # whose last step, to the clean image, is Euler's here
    assert ours.model.evaluations == 2 * (len(calls) - last)


def test_without_azula_a_row_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.tools.speed import sampling
    from benchmark.tools.speed.peers import diffusers_defaults

    monkeypatch.setattr(sampling, "missing", lambda *_: "azula is not installed: uv run ...")
    run = sampling.RandomRun(
        tmp_path,
        diffusers_defaults((8, 8)),
        sampling.QUICK,
        sampling.SpeedSetting(),
        torch.device("cpu"),
    )
    (row,) = sampling.against_azula(run, "ddim", sampling.QUICK)
    assert row.ratio is None
    assert row.text().endswith("azula is not installed: uv run ...")


def test_the_tuned_pipeline_computes_as_ours_does(tmp_path: Path) -> None:
    from benchmark.tools.speed import sampling
    from benchmark.tools.speed.peers import diffusers_defaults

    setting = sampling.SpeedSetting("bf16", compile=False, tuned=True)
    run = sampling.RandomRun(
        tmp_path, diffusers_defaults((8, 8)), sampling.QUICK, setting, torch.device("cpu")
    )
    pipeline = sampling._pipeline(run.sampling("ddpm"), "ddpm", setting)
    weight = pipeline.unet.conv_in.weight
    assert weight.dtype == torch.bfloat16
    assert weight.is_contiguous(memory_format=torch.channels_last)
    images = sampling._images_of(pipeline, 2, 3, setting.output)
    assert (images.dtype, images.shape) == (np.uint8, (2, 16, 16, 3))


def test_training_is_compared_with_the_loop_of_diffusers_example() -> None:
    from benchmark.tools.speed import training

    torch.set_num_threads(1)
    (row,) = training.rows(training.QUICK)
    assert row.ratio
    assert "batch 2" in row.name
    assert "train_unconditional.py" in row.peer


@pytest.mark.parametrize("told", ["positional", "fourier"])
def test_both_sides_have_the_same_network(told: str) -> None:
    from benchmark.models.modules.unet import UNetModule
    from benchmark.tools.speed.peers import diffusers_defaults, unet2d

    torch.manual_seed(0)
    spec = diffusers_defaults((8, 16)).model_copy(update={"time_embedding": told})
    ours = UNetModule(spec).eval()
    theirs = unet2d(ours, 8)
    x, t = torch.randn(2, 3, 8, 8), torch.tensor([3.0, 40.0])
    with torch.no_grad():
        assert torch.allclose(ours(x, t), theirs(x, t).sample, atol=1e-6)


def test_the_example_s_loop_learns() -> None:
    from benchmark.config.training import Training
    from benchmark.models.modules.unet import UNetModule
    from benchmark.tools.speed import training
    from benchmark.tools.speed.peers import diffusers_defaults, unet2d

    model = unet2d(UNetModule(diffusers_defaults((8, 8))), 8)
    before = [p.detach().clone() for p in model.parameters()]
    images = np.zeros((3, 8, 8, 3), np.uint8)
    settings = Training(steps=9, batch=2, warmup=1)
    training.example(model, images, settings, "float32", torch.device("cpu"))(3)
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert all(changed)


def test_flops_and_bytes_of_a_layer_are_those_of_its_formula() -> None:
    from benchmark.tools.speed.limits import Limits, matrix_flops, moved_bytes

    layer, x = torch.nn.Linear(30, 20), torch.zeros(5, 30)
    network = torch.nn.Sequential(layer)
    assert matrix_flops(network, x) == 2 * 5 * 30 * 20
    assert moved_bytes(network, x) == 4 * (5 * 30 + 5 * 20 + 30 * 20 + 20)
    text = Limits(product=12e3, copy=7.48e3).reached(network, x, seconds=1)
    assert "are 50% of" in text
    assert "47% of" in text


def test_rates_of_the_machine_are_positive() -> None:
    from benchmark.tools.speed.limits import copy_rate, product_rate

    assert product_rate(16) > 0
    assert copy_rate(1) > 0


@pytest.mark.parametrize("part", SPEED)
@pytest.mark.parametrize("is_quick", [True, False])
def test_each_part_is_measured_at_the_sizes_that_are_asked_for(
    part: str, is_quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full sizes take minutes: here they only reach what would measure them."""
    module = import_module(f"benchmark.tools.speed.{part}")
    asked: list[object] = []
    monkeypatch.setattr(module, "rows", lambda sizes: asked.append(sizes) or [])
    done = CliRunner().invoke(app, ["speed", part, *(["--quick"] if is_quick else [])])
    assert done.exit_code == 0, done.exception
    assert (asked == [module.QUICK]) == is_quick
    assert type(asked[0]) is type(module.QUICK)
