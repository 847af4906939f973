"""What the README and the pages on experiments and parts show works as it stands there."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkout import PROJECT
from PIL import Image
from test_workflow import lay_out, snakemake

from benchmark.config.loading import parse_config
from benchmark.storage.paths import Run
from benchmark.tools.init import Machine, write_config

CONFIG = {
    "run": "own",
    "device": "cpu",
    "data": {"mine": {"source": "stripes", "resolution": 16, "train": 24, "held_out": 8}},
    "networks": {"mine": {"kind": "custom", "factory": "mine:small", "options": {"width": 16}}},
    "training": {"short": {"steps": 4, "batch": 8}},
    "models": {"OWN": {"family": "OWN", "data": "mine", "network": "mine", "training": "short"}},
    "grid": [
        {
            "table": "own",
            "model": "OWN",
            "schedule": "linear",
            "sampler": "renoise",
            "steps": 5,
            "samples": 6,
        }
    ],
    "evaluation": {
        "metrics": {"fd": {"kind": "frechet"}, "means": {"kind": "mean-distance"}},
        "controls": [],
        "neighbours": 3,
    },
}


def page(name: str) -> str:
    return (PROJECT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_the_smallest_config_is_whole() -> None:
    [text] = re.findall(r"```yaml\n# mine.yaml\n(.*?)```", page("experiments"), re.S)
    config = parse_config(yaml.safe_load(text))
    assert [cell.sampling.sampler for cell in config.cells] == ["ddim"] * 2 + ["dpm-solver++"] * 2


@pytest.mark.slow
def test_the_smallest_config_runs_as_it_stands(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    [text] = re.findall(r"```yaml\n# mine.yaml\n(.*?)```", page("experiments"), re.S)
    (folder / "mine.yaml").write_text(text)
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", config="mine.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = Run(folder / "results" / "mine").tables("summary")[0].read_text().splitlines()
    assert len(lines) == 1 + 4


@pytest.mark.slow
def test_a_config_that_init_writes_runs(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for number in range(120):
        image = Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
        image.save(tmp_path / "photographs" / f"{number}.png")
    machine = Machine(cores=2, gpu="", gpu_memory=0)
    path = write_config(folder / "own", tmp_path / "photographs", machine)
    path.write_text(path.read_text().replace("steps: 1500", "steps: 4"))
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", config="own/config.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Run(folder / "results" / "own").site.is_file()


@pytest.mark.slow
def test_the_four_examples_make_a_run_of_their_own(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    examples = re.findall(
        r"```python\n# ([\w./]+\.py)[^\n]*\n(.*?)```",
        page("extending"),
        re.S,
    )
    assert len(examples) == 4
    for path, code in examples:
        assert not (folder / path).exists()
        (folder / path).write_text(code)
    (folder / "own.yaml").write_text(yaml.safe_dump(CONFIG))
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", config="own.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run(folder / "results" / "own")
    assert np.load(run.samples("OWN-linear-renoise-5-s0")).shape == (6, 16, 16, 3)
    [row] = [
        row for row in csv.DictReader(run.tables("own")[0].read_text().splitlines()) if row["cell"]
    ]
    assert float(row["means"]) > 0
