"""A schedule is added as one new file, and used without an edit of any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SMOKE
from scratch import Scratch

from benchmark.storage.paths import Run

FILE = "benchmark/diffusion/schedules/square_root.py"
CELL = "DDIM-coarse-ddim-5-s0"
TRAINING = "DDIM-coarse"
OTHERS = [("train", "DDIM-linear"), ("sample", "DDIM-linear-ddim-5-s0"), ("prepare", "tiny")]
OWN = [("train", TRAINING), ("sample", CELL)]
SCHEDULE = '''
"""The square-root schedule of Diffusion-LM."""

from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.diffusion.processes.discrete_vp import DiscreteVP
from benchmark.diffusion.schedules.base import Schedule


class SquareRoot(Schedule):
    """ᾱ_t = 1 - √(t/T + s), Li et al. 2022, appendix A."""

    kind: Literal["square-root"] = "square-root"
    T: int = Field(default=1000, ge=2)
    s: float = Field(default=1e-4, gt=0, lt=1e-3)

    def process(self) -> DiscreteVP:
        """Return the chain."""
        return DiscreteVP(1 - np.sqrt(np.arange(self.T) / self.T + self.s))
'''


def config(schedules: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest run, with one model that is trained for each of some schedules."""
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    content["run"] = "new"
    content["schedules"] = schedules
    content["models"] = {"DDIM": content["models"]["DDIM"]}
    names = ["linear", *schedules]
    point = {"table": "new", "model": "DDIM", "sampler": "ddim", "steps": 5, "samples": 6}
    content["grid"] = [point | {"schedule": names}]
    return content


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """A copy of the project."""
    return Scratch(tmp_path)


def test_a_new_file_is_a_schedule_that_is_trained_sampled_and_judged(scratch: Scratch) -> None:
    scratch.add(FILE, SCHEDULE)
    run = scratch.config("own.yaml", config({"coarse": {"kind": "square-root", "T": 50}}))
    scratch.command("prepare", run, "tiny")
    scratch.command("train", run, TRAINING)
    scratch.command("sample", run, CELL)
    for subject in ("tiny", CELL):
        scratch.command("features", run, subject)
    scratch.command("evaluate", run, CELL)
    record = json.loads(Run(scratch.folder / "results" / "new").record("metrics", CELL).read_text())
    assert record["cell"]["schedule"] == "coarse"
    assert record["values"]["fd"]["value"] > 0
    assert '"square-root"' in scratch.command("schema")


def test_a_new_schedule_reruns_nothing_and_an_edited_one_its_own_jobs(scratch: Scratch) -> None:
    before = scratch.code(scratch.config("before.yaml", config({})), OTHERS)
    scratch.add(FILE, SCHEDULE)
    run = scratch.config("own.yaml", config({"coarse": {"kind": "square-root", "T": 50}}))
    added = scratch.code(run, OTHERS + OWN)
    assert {job: added[job] for job in OTHERS} == before
    scratch.edit(FILE)
    edited = scratch.code(run, OTHERS + OWN)
    assert [job for job in added if edited[job] != added[job]] == OWN
