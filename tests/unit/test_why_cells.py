"""`why` of a run's cell: the other cells of the run that differ from it in one respect."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from random_weights import with_random_weights
from stages import do
from test_why import explained, first, folder, noisy
from test_why import extractor as extractor

from benchmark.config.config import Config
from benchmark.config.loading import filled_in, parse_config
from benchmark.models.weights import save_weights
from benchmark.report.panels import ends
from benchmark.storage.paths import Run

ENTRY = {"table": "t", "model": "DDIM", "schedule": "linear", "sampler": "ddim", "samples": 40}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory, smoke: Config) -> Run:
    """A run whose cells differ in steps, sampler, schedule, guidance, weights and training."""
    content = filled_in(smoke)
    content["data"]["tiny"]["label"] = "background"
    content["networks"]["net"]["classes"] = 3
    content["models"]["raw"] = content["models"]["DDIM"] | {"training": "raw"}
    content["training"]["raw"] = content["training"]["short"] | {"ema": None}
    content["grid"] = [
        ENTRY | {"steps": 5, "evaluate_every": 8, "weights": ["averaged", "raw"]},
        ENTRY | {"steps": 3},
        ENTRY | {"steps": 5, "sampler": "heun"},
        ENTRY | {"steps": 5, "schedule": "cosine"},
        ENTRY | {"steps": 5, "guidance": 2.5},
        ENTRY | {"steps": 5, "model": "raw"},
        ENTRY | {"steps": 3, "model": "raw"},
        ENTRY | {"steps": 5, "seed": 1},
    ]
    config = parse_config(content)
    run = Run(tmp_path_factory.mktemp("results") / "cells")
    do("prepare", config, "tiny", run)
    with_random_weights(config, run)
    spec = config.job("train", "DDIM-linear").spec()
    for seed, path in enumerate(
        (run.kept_weights("DDIM-linear", 8), run.raw_weights("DDIM-linear")), start=1
    ):
        torch.manual_seed(seed)
        save_weights(path, config.networks["net"].build(16).state_dict(), spec)
    for cell in config.cells:
        do("sample", config, cell.id, run)
    return run


def test_cells_that_differ_in_one_respect_are_scored_and_named(
    sampled: Run, tmp_path: Path
) -> None:
    fake = sampled.samples("DDIM-linear-ddim-5-s0").parent
    found = explained(tmp_path, folder(tmp_path / "a", noisy(0)), fake, choices=["cell"])
    assert {scored.option.text for scored in found.scored} == {
        "DDIM-linear-ddim-3-s0: steps 3, not 5",
        "DDIM-linear-heun-5-s0: sampler heun, not ddim",
        "DDIM-cosine-ddim-5-s0: schedule cosine, not linear, and another training",
        "DDIM-linear-ddim-5-g2.5-s0: guidance w = 2.5, not none",
        "raw-linear-ddim-5-s0: weights raw, not averaged by 0.999, and another training",
        "DDIM-linear-ddim-5-at8-s0: training of 8 steps, not to its end",
        "DDIM-linear-ddim-5-raw-s0: weights raw, not averaged by 0.999",
    }
    assert all(abs(scored.moved.value) > 0 for scored in found.scored)
    alone = explained(
        tmp_path,
        tmp_path / "a",
        sampled.samples("raw-linear-ddim-5-s0").parent,
        choices=["duplicates"],
    )
    [raw] = [scored for scored in found.scored if scored.option.text.startswith("raw")]
    assert raw.value.value == pytest.approx(alone.baseline.value, rel=1e-12)


@pytest.mark.parametrize(
    ("planted", "text"),
    [
        ("raw-linear-ddim-5-s0", "weights raw, not averaged by 0.999, and another training"),
        ("DDIM-linear-ddim-3-s0", "steps 3, not 5"),
        ("DDIM-linear-heun-5-s0", "sampler heun, not ddim"),
        ("DDIM-cosine-ddim-5-s0", "schedule cosine, not linear, and another training"),
        ("DDIM-linear-ddim-5-g2.5-s0", "guidance w = 2.5, not none"),
        ("DDIM-linear-ddim-5-at8-s0", "training of 8 steps, not to its end"),
        ("DDIM-linear-ddim-5-raw-s0", "weights raw, not averaged by 0.999"),
    ],
)
def test_the_cell_that_the_reference_was_made_of_is_found(
    sampled: Run, tmp_path: Path, planted: str, text: str
) -> None:
    """The images are planted: those of one cell are like the reference, those of others darker."""
    run = Run(tmp_path / "run")
    shutil.copytree(sampled.root, run.root)
    real = folder(tmp_path / "a", noisy(0, size=(16, 16)))
    for seed, path in enumerate(sorted(run.root.glob("samples/*/samples.npy")), start=1):
        images = np.stack(noisy(seed, size=(16, 16)))
        np.save(path, images if path.parent.name == planted else images // 2)
    found = explained(tmp_path, real, run.samples("DDIM-linear-ddim-5-s0").parent)
    assert first(found) == ("cell", f"{planted}: {text}")


def test_raw_weights_of_one_training_are_found(tmp_path: Path, smoke: Config) -> None:
    """The reference is of the last step's weights, which a slow average is far behind."""
    content = filled_in(smoke)
    content["models"] = {"DDIM": content["models"]["DDIM"]}
    content["training"]["short"] |= {"lr": 0.1, "warmup": 0, "decay": "constant", "ema": 0.9999}
    content["evaluation"]["extractor"] = "spread"
    content["grid"] = [ENTRY | {"steps": 5, "weights": ["averaged", "raw"], "seed": [0, 1]}]
    config = parse_config(content)
    run = Run(tmp_path / "results" / "raw")
    do("prepare", config, "tiny", run)
    do("train", config, "DDIM-linear", run)
    for cell in config.cells:
        do("sample", config, cell.id, run)
    real = folder(tmp_path / "a", list(np.load(run.samples("DDIM-linear-ddim-5-raw-s1"))))
    found = explained(tmp_path, real, run.samples("DDIM-linear-ddim-5-s0").parent)
    assert first(found) == (
        "cell",
        "DDIM-linear-ddim-5-raw-s0: weights raw, not averaged by 0.9999",
    )
    back = explained(tmp_path, real, run.samples("DDIM-linear-ddim-5-raw-s0").parent)
    [moved] = [scored.moved for scored in back.scored if scored.choice == "cell"]
    low, _ = ends(moved)
    assert 0 < low < moved.value


def test_cells_whose_images_are_gone_or_too_few_are_named(sampled: Run, tmp_path: Path) -> None:
    other = sampled.samples("DDIM-linear-ddim-3-s0")
    kept = other.rename(other.with_name("elsewhere.npy"))
    try:
        fake = sampled.samples("DDIM-linear-ddim-5-s0").parent
        found = explained(tmp_path, folder(tmp_path / "a", noisy(0)), fake, choices=["cell"])
    finally:
        kept.rename(other)
    text = "DDIM-linear-ddim-3-s0: steps 3, not 5: its images are not there any more"
    assert ("cell", text) in found.left_out


def test_a_folder_that_is_no_cell_has_no_such_choice(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", noisy(0)), folder(tmp_path / "b", noisy(1))
    found = explained(tmp_path, real, fake, choices=["cell", "format"])
    assert {scored.choice for scored in found.scored} == {"format"}
