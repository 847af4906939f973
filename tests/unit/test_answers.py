"""Tasks of a grid: what a config may ask, and how answers are judged."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from checkout import SMOKE
from PIL import Image
from random_weights import with_random_weights
from stages import do

from benchmark.config.config import Config
from benchmark.config.loading import load_config, parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.core.seeds import stream_seed
from benchmark.data import load_dataset
from benchmark.diffusion.methods import METHODS
from benchmark.diffusion.operators import OPERATORS
from benchmark.metrics.similarity import psnr, ssim
from benchmark.metrics.uncertainty import excludes_zero, paired_difference, with_error
from benchmark.records.record import read_record, read_records
from benchmark.records.rows import collect
from benchmark.report.answers_table import answers_table
from benchmark.report.formats import to_markdown
from benchmark.runtime.questions import Questions
from benchmark.storage.arrays import open_array
from benchmark.storage.paths import Run
from benchmark.tools.network_cost import evaluations

PROJECT = Path(__file__).parents[2]
TASK: dict[str, Any] = {"kind": "inpaint", "mask": "half", "answers": 2, "method": "replacement"}
CELL = "DDPM-linear-ddpm-10-inpaint-half-replacement-s0"


def content(task: Any = TASK, **keys: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    found["grid"] = [
        {
            "table": "asked",
            "model": "DDPM",
            "schedule": "linear",
            "sampler": "ddpm",
            "steps": 10,
            "samples": 8,
            "task": task,
            **keys,
        }
    ]
    found["evaluation"]["controls"] = []
    return found


def asked(*tasks: dict[str, Any]) -> Config:
    return parse_config(content([*tasks]), "test")


@pytest.fixture
def sampled(run: Run) -> Callable[[Config], Run]:
    """A function that samples all cells of a config with random weights, and embeds them."""

    def sample(config: Config) -> Run:
        with_random_weights(config, run)
        do("features", config, "tiny", run)
        for cell in config.cells:
            do("sample", config, cell.id, run)
            do("features", config, cell.id, run)
        return run

    return sample


def test_are_answers_sampled_judged_and_drawn(sampled: Callable[[Config], Run]) -> None:
    config = asked(TASK, {**TASK, "method": {"kind": "pigdm", "data_std": 0.5}})
    run = sampled(config)
    assert [cell.id for cell in config.cells] == [CELL, CELL.replace("replacement", "pigdm")]
    truth = load_dataset(run.data("tiny")).held_out[:4]
    answers = open_array(run.samples(CELL))
    assert (answers[:, :, :8] == truth.repeat(2, axis=0)[:, :, :8]).all()  # the left half is given
    assert (answers[0, :, 8:] != answers[1, :, 8:]).any()  # each answer has noise of its own
    counts = [read_record(run.record("sample", cell.id)).timing for cell in config.cells]
    assert [timing.network_evaluations for timing in counts if timing] == [10, 20]

    records = [do("answers", config, cell.id, run) for cell in config.cells]
    values, controls = records[0].values, records[0].answered.controls
    expected = psnr(np.asarray(answers), truth.repeat(2, axis=0)).reshape(4, 2).mean(axis=1)
    assert values["psnr"].value == pytest.approx(expected.mean())
    error = expected.std(ddof=1) / 2
    assert values["psnr"].low == pytest.approx(with_error(expected.mean(), error, 3).low)
    assert values["given_error"].value == 0
    assert values["spread"].value > 0
    assert controls["untouched"]["psnr"].value == pytest.approx(58.92, abs=0.01)
    assert controls["untouched"]["feature_distance"].value == 0
    assert controls["untouched"]["nearer_to_training"].value == 0
    assert controls["nearest-training"]["nearer_to_training"].value == 1
    assert controls["pseudo-inverse"]["given_error"].value == 0
    given = open_array(run.given(CELL))
    assert (given[:, :, :8] == truth[:, :, :8]).all()
    assert (given[:, :, 8:] == 128).all()
    with Image.open(run.answers(CELL)) as panel:
        assert panel.height == 4 * 66 + 2

    table = answers_table(collect(read_records(run.root)))
    assert [row["label"] for row in table.rows] == [
        *("DDPM", "DDPM"),
        *("untouched", "nearest training", "mean training", "pseudo inverse"),
    ]
    assert [row["method"] for row in table.rows[:2]] == ["pigdm (data_std 0.5)", "replacement"]
    assert all(row["letters"] for row in table.rows[:2])
    told = [record.answered.psnr for record in records]
    assert told[0] == pytest.approx(expected.tolist())
    gaps = [row["psnr_gap"] for row in table.rows[:2]]
    worse = gaps[0] or gaps[1]
    best, other = sorted(told, key=np.mean, reverse=True)
    assert [gap is None for gap in gaps].count(True) == 1
    assert worse == paired_difference(other, best)
    alike = {*str(table.rows[0]["letters"])} & {*str(table.rows[1]["letters"])}
    assert bool(alike) != excludes_zero(worse)
    assert "inpaint-half" in to_markdown(table)


def test_do_shards_and_batches_answer_as_one_job(sampled: Callable[[Config], Run]) -> None:
    config = asked(TASK)
    run = sampled(config)
    whole = np.array(open_array(run.samples(CELL)))
    for shard in ("0-6", "6-8"):
        do("sample", config, CELL, run, shard=shard)
    parts = [open_array(run.shard("sample", CELL, s).samples(CELL)) for s in ("0-6", "6-8")]
    # convolutions of other batches may round otherwise
    assert np.abs(np.concatenate(parts).astype(int) - whole).max() <= 1


def test_are_questions_the_same_for_every_method_and_batch(prepared: Run) -> None:
    task = asked({"kind": "denoise", "method": "pigdm"}).task(
        "DDPM-linear-ddpm-10-denoise-pigdm-s0"
    )
    assert task
    questions = Questions.of(task, prepared.data("tiny"))
    whole = questions.given(range(4))
    assert torch.equal(whole[2:3], questions.given([2]))
    other = Questions.of(task.model_copy(update={"question_seed": 1}), prepared.data("tiny"))
    assert not torch.equal(whole, other.given(range(4)))
    assert stream_seed("question", 0) != 0  # the noise of samples has seeds of its own


def test_depends_a_cell_on_its_task_and_no_other_cell_on_any() -> None:
    [one, other] = (asked(task) for task in (TASK, {**TASK, "mask": "box"}))
    plain = content()
    del plain["grid"][0]["task"]
    config = parse_config(plain, "test")
    assert config.cells[0].id == "DDPM-linear-ddpm-10-s0"
    spec = config.job("sample", config.cells[0].id).spec()
    assert not {"task", "asked_about"} & spec.keys()
    specs = [found.job("sample", found.cells[0].id).spec() for found in (one, other)]
    assert specs[0] != specs[1]
    assert {key: specs[0][key] for key in spec} == spec
    assert "benchmark.diffusion.operators.inpaint" in one.job("sample", CELL).modules()
    assert "benchmark.diffusion.methods.replacement" in one.job("answers", CELL).modules()


@pytest.mark.parametrize(
    ("method", "count"),
    [("replacement", 10), ("pigdm", 20), ("dps", 20)],
)
def test_counts_an_estimate_what_a_method_takes(method: str, count: int) -> None:
    config = asked({**TASK, "method": method})
    process, sampler = config.schedule("linear").process(), config.sampler("ddpm")
    task = config.task(config.cells[0].id)
    assert evaluations(process, sampler, 10, task, (3, 16, 16)) == (count, True)


def test_asks_the_shipped_config_every_method_and_operator() -> None:
    cells = load_config(PROJECT / "config" / "steer.yaml").cells
    asked_of = [cell.task for cell in cells if cell.task]
    assert len(asked_of) == len(cells) == 20
    assert {task.method["kind"] for task in asked_of} == {*METHODS.names()}
    assert {task.operator["kind"] for task in asked_of} == {*OPERATORS.names()}


def test_can_tasks_be_named() -> None:
    config = asked(TASK, {**TASK, "name": "again", "question_seed": 3})
    assert [cell.id for cell in config.cells] == [CELL, "DDPM-linear-ddpm-10-again-s0"]
    with pytest.raises(BenchmarkError, match="is named twice"):
        asked(TASK, {**TASK, "question_seed": 3})


@pytest.mark.parametrize(
    ("task", "keys", "line"),
    [
        ({**TASK, "hidden": 0.5}, {}, "hidden: the mask half has a share of its own"),
        ({**TASK, "mask": "box", "hidden": 0.0}, {}, "task.hidden: the mask hides no pixel"),
        ({**TASK, "mask": "box", "hidden": 1.0}, {}, "task.hidden: the mask hides all pixels"),
        ({**TASK, "mask": "ring"}, {}, "'box' or 'half' or 'random' or 'file' is needed"),
        ({**TASK, "size": 3}, {}, "unknown key 'size'"),
        ({**TASK, "kind": "inpant"}, {}, "no kind 'inpant': did you mean 'inpaint'?"),
        ({**TASK, "method": "pigmd"}, {}, "no kind 'pigmd': did you mean 'pigdm'?"),
        ({**TASK, "method": {"kind": "dps", "eta": 1}}, {}, "unknown key 'eta'"),
        ({"kind": "inpaint"}, {}, "method: this key is missing"),
        ({**TASK, "answers": 3}, {}, "8 samples are not 3 answers to each of several questions"),
        ({**TASK, "answers": 8}, {}, "8 samples are not 8 answers to each of several questions"),
        (TASK, {"samples": 18}, "18 samples are answers to 9 questions, and there are 8 held-out"),
        (TASK, {"sampler": "heun"}, "task.method: replacement changes the state, and heun"),
        (TASK, {"schedule": "vp", "sampler": "probability-flow"}, "solves each image by itself"),
        ({"kind": "denoise", "method": "repaint"}, {}, "takes what is given as exact, and denoise"),
        ({**TASK, "method": "repaint"}, {}, "jump_length 10 is not below the 10 steps"),
        ({"kind": "super-resolution", "factor": 3, "method": "dps"}, {}, "no multiple of 3"),
        ({"kind": "denoise", "noise": 0, "method": "dps"}, {}, "greater than 0"),
    ],
)
def test_is_a_task_refused_in_one_line(task: object, keys: dict[str, Any], line: str) -> None:
    with pytest.raises(BenchmarkError) as refused:
        parse_config(content(task, **keys), "test")
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_is_a_mask_refused_that_is_missing_or_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    task = {**TASK, "mask": "file", "path": str(path)}
    with pytest.raises(BenchmarkError, match=r"task\.path: .* no readable picture"):
        asked(task)
    Image.new("L", (8, 8)).save(path)
    with pytest.raises(BenchmarkError, match=r"8×8 pixels: the images have 16×16"):
        asked(task)


def test_is_colourisation_of_grey_images_refused() -> None:
    grey = content({"kind": "colourise", "method": "pigdm"})
    grey["data"]["tiny"]["channels"] = 1
    with pytest.raises(BenchmarkError, match="colourise is for images of 3 channels"):
        parse_config(grey, "test")


def test_are_tasks_of_images_made_elsewhere_refused(tmp_path: Path) -> None:
    made = copy.deepcopy(content())
    made["models"]["GAN"] = {"family": "GAN", "data": "tiny", "images": str(tmp_path)}
    made["grid"][0] = {"table": "t", "model": "GAN", "samples": 8, "task": TASK}
    with pytest.raises(BenchmarkError, match="were made elsewhere, and have no score"):
        parse_config(made, "test")


def test_is_a_cell_without_a_task_not_judged() -> None:
    plain = content()
    del plain["grid"][0]["task"]
    with pytest.raises(BenchmarkError, match="this cell has no task"):
        parse_config(plain, "test").job("answers", "DDPM-linear-ddpm-10-s0")


def images(seed: int, side: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (3, side, side, 3)).astype(np.uint8)


def test_what_psnr_and_ssim_are_of_equal_and_of_shifted_images() -> None:
    a = images(0) // 2
    assert psnr(a, a) == pytest.approx(10 * np.log10(12 * 255**2))
    assert ssim(a, a) == pytest.approx(1)
    assert psnr(a, a + 16) == pytest.approx(20 * np.log10(255 / 16))
    flat = np.zeros((1, 16, 16, 3), np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(flat, flat + 100) == pytest.approx(c1 / (100**2 + c1))


@pytest.mark.parametrize("side", [16, 33])
def test_equal_psnr_and_ssim_those_of_scikit_image(side: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a = images(0, side)
    b = (0.7 * a + 0.3 * images(1, side)).astype(np.uint8)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [
        metrics.structural_similarity(x, y, channel_axis=2, data_range=255, **options)
        for x, y in zip(a, b, strict=True)
    ]
    assert ssim(a, b) == pytest.approx(expected, rel=1e-9)
    ratios = [metrics.peak_signal_noise_ratio(x, y) for x, y in zip(a, b, strict=True)]
    assert psnr(a, b) == pytest.approx(ratios)
