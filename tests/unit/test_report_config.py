"""config/report.yaml: every published row once, planned, and built as its sources say."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import forks
import pytest
import torch
import yaml

from benchmark.config.config import Config
from benchmark.config.loading import load_config
from benchmark.models.checkpoints.diffusers import DiffusersCheckpoint
from benchmark.models.diffusers_config import unet_spec
from benchmark.models.hub import read_json
from benchmark.records.published import find_published, read_published
from benchmark.storage.paths import REFERENCE

PROJECT = Path(__file__).parents[2]
REPORT = PROJECT / "config" / "report.yaml"
NETWORKS = sorted((REFERENCE.parent / "networks").glob("*.json"))


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(REPORT)


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


def test_every_published_row_is_one_cell_and_every_cell_a_published_row(config: Config) -> None:
    published = read_published(REFERENCE)
    assert len(published) == 10
    found = Counter(
        (row.fid, row.resolution)
        for cell in config.cells
        if (row := find_published(cell, published))
    )
    assert found == Counter((row.fid, row.resolution) for row in published.values())
    assert len(config.cells) == 10


def test_cells_have_the_resolution_and_the_samples_of_their_rows(config: Config) -> None:
    published = read_published(REFERENCE)
    for cell in config.cells:
        row = find_published(cell, published)
        assert row is not None
        assert str(cell.resolution) == row.resolution
        counts = {cell.samples, *config.evaluation.sizes}
        assert any(str(count) in row.n_fake for count in counts)


def test_the_workflow_plans_every_cell(config: Config, tmp_path: Path) -> None:
    for part in ("Snakefile", "workflow", "benchmark", "config", "environment.yml"):
        (tmp_path / part).symlink_to(PROJECT / part)
    options = ("--dry-run", "--configfile", "config/report.yaml")
    planned = forks.run(forks.SNAKEMAKE, "snakemake", options, tmp_path, os.environ)
    text = planned.stdout + planned.stderr
    assert planned.returncode == 0, text
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", text.split("Job stats:")[1], re.MULTILINE))
    assert int(jobs["sample"]) + int(jobs["merge_samples"]) == 10
    assert jobs["train"] == "4"


def test_the_tutorials_network_is_the_one_that_diffusers_builds(config: Config) -> None:
    from diffusers import UNet2DModel

    with torch.device("meta"):
        ours = config.networks["tutorial"].build(128)
        theirs = UNet2DModel(
            sample_size=128,
            layers_per_block=2,
            block_out_channels=(128, 128, 256, 256, 512, 512),
            down_block_types=(*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
        )
    assert shapes(ours) == shapes(theirs)
    # The options that have no parameters are equal too.
    assert unet_spec(json.loads(theirs.to_json_string()), REPORT) == config.networks["tutorial"]


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_published_architectures_have_the_size_of_their_checkpoints(path: Path) -> None:
    from diffusers import UNet2DModel

    megabytes = {"ddpm-celebahq-256": 455, "ddpm-ema-celebahq-256": 455, "ncsnpp-celebahq-256": 263}
    facts = read_json(path)
    with torch.device("meta"):
        network = UNet2DModel.from_config(facts["network"])
    size = 4 * sum(parameter.numel() for parameter in network.parameters())
    # A file holds some hundred names beside the numbers.
    assert 0 <= megabytes[facts["source"].split("/")[1]] - size / 1e6 < 1


def test_published_architectures_are_those_of_the_revisions_in_the_config(config: Config) -> None:
    weights = [model.weights for model in config.models.values()]
    pinned = {(w.source, w.revision) for w in weights if isinstance(w, DiffusersCheckpoint)}
    assert pinned == {(facts["source"], facts["revision"]) for facts in map(read_json, NETWORKS)}
    assert all(len(revision) == 40 for _, revision in pinned)


def test_the_moving_averages_block_can_be_switched_on(config: Config) -> None:
    text = REPORT.read_text(encoding="utf-8").replace("  # - {table: ema", "  - {table: ema")
    switched = Config.model_validate(yaml.safe_load(text))
    assert len(switched.cells) == len(config.cells) + 4
    published = read_published(REFERENCE)
    assert sum(find_published(cell, published) is not None for cell in switched.cells) == 10


def test_the_quickstart_repeats_every_published_row_but_for_its_size() -> None:
    published = read_published(REFERENCE)
    quickstart = load_config(PROJECT / "config" / "config.yaml")
    found = [row for cell in quickstart.cells if (row := find_published(cell, published))]
    assert sorted(row.fid for row in found) == sorted(row.fid for row in published.values())


def test_the_zoo_is_trained_on_the_data_of_the_quickstart() -> None:
    quickstart, zoo = (
        load_config(PROJECT / "config" / name) for name in ("config.yaml", "zoo.yaml")
    )
    assert quickstart.data == zoo.data
