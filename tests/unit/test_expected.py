"""Which tables and plots a run is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.config import expected
from benchmark.config.config import Config
from benchmark.config.expected import expected_plots, expected_tables
from benchmark.config.loading import load_config, parse_config
from benchmark.core.reserved import TABLES
from benchmark.report import (
    best_by_budget as budget,
)
from benchmark.report import (
    classes_table,
    classifiers_table,
    likelihood_table,
)
from benchmark.storage.paths import PLOTS

PROJECT = Path(__file__).parents[2]
ALWAYS = {"findings", "stages", "summary", "verdicts"}
BLOCK = {
    "table": "trained",
    "model": "DDIM",
    "schedule": "linear",
    "sampler": "ddim",
    "steps": 5,
    "samples": 8,
}
PAINTED = {"kind": "inpaint", "mask": "box", "answers": 1, "method": "replacement"}


def made(*blocks: dict[str, Any], **content: Any) -> Config:
    """Return the smallest config with these blocks of the grid."""
    smoke = yaml.safe_load((PROJECT / "tests" / "workflow" / "smoke.yaml").read_text())
    smoke["evaluation"]["neighbours"] = 0
    return parse_config(smoke | content | {"grid": [BLOCK | block for block in blocks]})


def test_a_plain_run_has_its_own_tables_and_those_of_every_run() -> None:
    assert expected_tables(made({})) == ["trained", *sorted(ALWAYS)]


@pytest.mark.parametrize(
    ("blocks", "table"),
    [
        ([{"task": PAINTED}], "answers"),
        ([{"steps": [5, 10]}, {"steps": [5, 10], "sampler": "ddpm"}], "best-by-budget"),
    ],
)
def test_a_table_is_made_where_there_is_something_to_tell(
    blocks: list[dict[str, Any]], table: str
) -> None:
    assert {*expected_tables(made(*blocks))} & {*TABLES} == ALWAYS | {table}


def test_only_tables_and_plots_that_there_are_have_conditions() -> None:
    assert expected._TABLES.keys() <= {*TABLES}
    assert expected._PLOTS.keys() <= {*PLOTS}
    names = {budget.NAME, classes_table.NAME, classifiers_table.NAME, likelihood_table.NAME}
    assert names <= expected._TABLES.keys()


@pytest.mark.parametrize(
    ("config", "tables", "plots"),
    [
        ("config/fashion.yaml", {"classes", "classifiers"}, {"guidance"}),
        ("config/steer.yaml", {"answers"}, set()),
        ("config/likelihood.yaml", {"likelihood"}, set()),
        ("config/samplers.yaml", {"best-by-budget"}, set()),
        ("config/training.yaml", set(), {"distance-against-training"}),
        ("tests/workflow/ready.yaml", set(), set()),
    ],
)
def test_the_configs_of_the_project_have_tables_and_plots_of_what_they_do(
    config: str, tables: set[str], plots: set[str]
) -> None:
    found = load_config(PROJECT / config)
    assert {*expected_tables(found)} >= ALWAYS | tables
    for name in ("guidance", "distance-against-training"):
        assert (name in expected_plots(found)) == (name in plots), name
    assert ("loss-curves" in expected_plots(found)) == bool(found.trainings)
    for name in ("answers", "classes", "classifiers", "likelihood", "best-by-budget"):
        assert (name in expected_tables(found)) == (name in tables), name


def test_neighbours_have_a_table_where_they_are_looked_for() -> None:
    evaluation = {"metrics": {"fd": {"kind": "frechet"}}, "neighbours": 3}
    assert "neighbours" in expected_tables(made({}, evaluation=evaluation))


@pytest.mark.parametrize(
    ("block", "drawn"),
    [
        ({}, set()),
        ({"evaluate_every": 6}, {"distance-against-training"}),
        ({"evaluate_every": 6, "task": PAINTED}, set()),
    ],
)
def test_a_plot_is_drawn_where_there_is_something_to_draw(
    block: dict[str, Any], drawn: set[str]
) -> None:
    missing = {"guidance", "distance-against-training"} - drawn
    assert expected_plots(made(block)) == [name for name in PLOTS if name not in missing]


def test_a_generator_has_no_loss_by_level_of_noise() -> None:
    content = {
        "networks": {"net": {"kind": "dcgan", "latent": 8, "channels": [8, 16], "patch": 2}},
        "models": {
            "DDIM": {"family": "GAN", "data": "tiny", "network": "net", "training": "short"}
        },
    }
    block = {"schedule": "latent", "sampler": "generator", "steps": 1}
    found = expected_plots(made(block, **content))
    assert "loss-curves" in found
    assert "denoising-loss" not in found


def test_images_made_elsewhere_have_neither_losses_nor_times(tmp_path: Path) -> None:
    models = {"other": {"family": "GAN", "data": "tiny", "images": str(tmp_path)}}
    block = {"table": "other", "model": "other", "samples": 6}
    smoke = made({})
    content = smoke.model_dump(mode="json", exclude_unset=True) | {"models": models}
    found = expected_plots(parse_config(content | {"grid": [block]}))
    assert found == ["distance-by-model", "samples-overview", "timeline"]
