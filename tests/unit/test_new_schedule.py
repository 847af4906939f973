"""A schedule, a process and a loss are new files, and used without an edit of any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import SMOKE
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

FLOW = {
    "benchmark/diffusion/processes/straight.py": '''
"""The straight path between image and noise."""

from dataclasses import dataclass

import numpy as np

from benchmark.diffusion.processes.base import Process, exact_chain


@dataclass(frozen=True, eq=False)
class Straight(Process):
    """x_t = (1 - t) x_0 + t ε, Liu et al. 2023 (Rectified Flow), equation 1."""

    family = "straight"
    loss = "straight"
    spacings = ("linspace",)
    prediction = "velocity"
    t_max = 1.0
    t_min = 1e-3

    def alpha(self, t):
        return 1 - t

    def sigma(self, t):
        return t * 1.0

    def time_of(self, level):
        return np.asarray(level) / (1 + np.asarray(level))

    def chain(self, timesteps):
        return exact_chain(self, timesteps)

    def condition(self, t):
        return 1000.0 * t
''',
    "benchmark/diffusion/schedules/straight.py": '''
"""The schedule of the straight path."""

from typing import Literal

from benchmark.diffusion.processes.straight import Straight
from benchmark.diffusion.schedules.base import Schedule


class StraightSchedule(Schedule):
    """The straight path has no options."""

    kind: Literal["straight"] = "straight"

    def process(self) -> Straight:
        """Return the process."""
        return Straight()
''',
    "benchmark/diffusion/losses/straight.py": '''
"""The loss of flow matching."""

from typing import Literal

import torch
from pydantic import Field

from benchmark.diffusion.losses.base import Regression


class StraightLoss(Regression):
    """E ‖u_θ(x_t, t) - (ε - x_0)‖², with times that are drawn logit-normal."""

    trains = "straight paths"
    kind: Literal["straight"] = "straight"
    spread: float = Field(default=1, gt=0)

    def space(self, process, prediction):
        return "velocity"

    def draw_times(self, process, count, generator):
        z = torch.randn(count, generator=generator, dtype=torch.float64)
        return (self.spread * z).sigmoid()

    def weigh(self, error, space, process, levels):
        return error.mean()
''',
}


def config(schedules: dict[str, Any], **training: Any) -> dict[str, Any]:
    """Return the smallest run, with one model that is trained for each of some schedules.

    With options of the training it has no `linear` schedule besides.
    """
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    content["run"] = "new"
    content["schedules"] = schedules
    content["models"] = {"DDIM": content["models"]["DDIM"]}
    content["training"]["short"] |= training
    names = [*schedules] if training else ["linear", *schedules]
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


def test_new_files_are_a_process_that_learns_velocities_and_is_sampled(scratch: Scratch) -> None:
    for path, code in FLOW.items():
        scratch.add(path, code)
    run = scratch.config("own.yaml", config({"flow": {"kind": "straight"}}))
    jobs = [("train", "DDIM-flow"), ("sample", "DDIM-flow-ddim-5-s0")]
    before = scratch.code(run, OTHERS + jobs)
    narrow = scratch.config("narrow.yaml", config({"flow": {"kind": "straight"}}, spread=0.5))
    scratch.command("prepare", narrow, "tiny")
    scratch.command("train", narrow, "DDIM-flow")
    scratch.command("sample", narrow, "DDIM-flow-ddim-5-s0")
    wrong = scratch.config("wrong.yaml", config({"flow": {"kind": "linear"}}, spread=0.5))
    refused = r"training\.short\.spread: only straight paths have it, not flow"
    with pytest.raises(AssertionError, match=refused):
        scratch.command("config", wrong)
    for path, changed in zip(FLOW, (jobs, jobs, jobs[:1]), strict=True):
        scratch.edit(path)
        after = scratch.code(run, OTHERS + jobs)
        assert [job for job in after if after[job] != before[job]] == changed
        before = after


def test_a_new_schedule_reruns_nothing_and_an_edited_one_its_own_jobs(scratch: Scratch) -> None:
    before = scratch.code(scratch.config("before.yaml", config({})), OTHERS)
    scratch.add(FILE, SCHEDULE)
    run = scratch.config("own.yaml", config({"coarse": {"kind": "square-root", "T": 50}}))
    added = scratch.code(run, OTHERS + OWN)
    assert {job: added[job] for job in OTHERS} == before
    scratch.edit(FILE)
    edited = scratch.code(run, OTHERS + OWN)
    assert [job for job in added if edited[job] != added[job]] == OWN
