"""A network, a format of checkpoints and a data source are a new file each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from checkout import SMOKE
from scratch import Scratch

from benchmark.storage.paths import Run

CELL = "DDPM-linear-ddpm-10-s0"
SOURCE = "benchmark/data/sources/stripes.py"
STRIPES = '''
"""Stripes of random colours."""

from functools import partial
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from benchmark.data.sources.base import Candidates, Item, Offer, Source


class Stripes(Source):
    """Columns of random grey."""

    source: Literal["stripes"] = "stripes"
    width: int = Field(default=1, ge=1)

    def offer(self):
        """Offer as many numbers as images are asked for."""
        images = Candidates(range(self.train + self.held_out), self._items)
        return Offer(images, held_out=None, origin="stripes", licence="none", attribution="")

    def _items(self, indices):
        return (Item(f"stripes {i}", partial(self._draw, i)) for i in indices)

    def _draw(self, i):
        row = np.random.default_rng([self.seed, i]).integers(0, 256, (1, self.resolution, 3))
        return Image.fromarray(row.astype(np.uint8).repeat(self.resolution, axis=0))
'''
NETWORK = "benchmark/models/networks/shallow.py"
SHALLOW = '''
"""Two convolutions."""

from typing import Literal

from pydantic import Field

from benchmark.models.networks.base import Network


class Shallow(Network):
    """Two convolutions, which get the time as a further channel."""

    kind: Literal["shallow"] = "shallow"
    width: int = Field(default=8, ge=1)

    def build(self, resolution):
        """Return them with fresh weights."""
        import torch
        from torch import nn

        class Module(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.first = nn.Conv2d(4, width, 3, padding=1)
                self.last = nn.Conv2d(width, 3, 3, padding=1)

            def forward(self, x, t):
                time = (t / 1000).view(-1, 1, 1, 1).expand_as(x[:, :1])
                return self.last(self.first(torch.cat([x, time], dim=1)).relu())

        return Module(self.width)

    def check_process(self, at, schedule, process):
        """Refuse noise levels."""
        if process.conditioned_on != "time":
            raise ValueError(f"{at}: a shallow network is told times, not {schedule}")
'''
FORMAT = "benchmark/models/checkpoints/npz.py"
NPZ = '''
"""Weights of a U-Net as arrays of NumPy."""

from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.core.errors import BenchmarkError
from benchmark.core.strict_model import UserPath
from benchmark.diffusion.schedules import SCHEDULES
from benchmark.models.checkpoints.base import Hashed
from benchmark.models.description import Description
from benchmark.models.networks.unet import UNet


class NpzCheckpoint(Hashed):
    """A file of `np.savez`, of a network that the config describes."""

    described_in = "the config"
    kind: Literal["npz"] = "npz"
    path: UserPath
    network: UNet
    resolution: int

    def describe(self):
        """Return what the config says; raise BenchmarkError where there is no file."""
        if not self.path.is_file():
            raise BenchmarkError(f"{self.path}: no such file: give one of np.savez")
        return Description(self.network, SCHEDULES.make("linear"), "eps", True, self.resolution)

    def load(self, cache):
        """Read the arrays."""
        import torch

        from benchmark.models.headers import WeightFiles
        from benchmark.models.tensors import check_sha256, fill

        sha256 = check_sha256(WeightFiles(self.path, (self.path,)), self.sha256)
        arrays = {name: torch.from_numpy(value) for name, value in np.load(self.path).items()}
        network = self.network.build(self.resolution)
        choices = fill(network, arrays, self.path, "the config")
        return self.describe().loaded(network, choices, name="npz", sha256=sha256, facts={})

    def local_files(self):
        """Return the file."""
        return self.path.parent, [self.path.name]
'''


def smoke(**changed: Any) -> dict[str, Any]:
    """Return the smallest run with some of its sections changed, and one cell of each model."""
    content: dict[str, Any] = yaml.safe_load(SMOKE.read_text())
    content["run"] = "new"
    for section, entries in changed.items():
        content[section] |= entries
    point = {"table": "new", "schedule": "linear", "sampler": "ddpm", "steps": 10, "samples": 6}
    content["grid"] = [point | {"model": [*content["models"]]}]
    return content


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """A copy of the project."""
    return Scratch(tmp_path)


def test_a_new_file_is_a_data_source_that_is_prepared_and_reruns_its_own_jobs(
    scratch: Scratch,
) -> None:
    run = scratch.config("before.yaml", smoke())
    others = [("prepare", "tiny"), ("train", "DDPM-linear")]
    before = scratch.code(run, others)
    scratch.add(SOURCE, STRIPES)
    mine = {"source": "stripes", "resolution": 16, "train": 24, "held_out": 8}
    model = {"family": "DDPM", "data": "mine", "network": "net", "training": "short"}
    run = scratch.config("own.yaml", smoke(data={"mine": mine}, models={"OWN": model}))
    assert scratch.code(run, others) == before
    scratch.command("prepare", run, "mine")
    folder = scratch.folder / "results" / "new"
    assert np.load(Run(folder).images("mine")).shape == (32, 16, 16, 3)
    assert '"stripes"' in scratch.command("schema")
    jobs = [*others, ("prepare", "mine")]
    added = scratch.code(run, jobs)
    scratch.edit(SOURCE)
    edited = scratch.code(run, jobs)
    assert [job for job in jobs if edited[job] != added[job]] == [("prepare", "mine")]


def test_a_new_file_is_a_network_that_is_trained_sampled_and_reruns_its_own_jobs(
    scratch: Scratch,
) -> None:
    others = [("prepare", "tiny"), ("train", "DDPM-linear"), ("sample", CELL)]
    own = [("train", "OWN-linear"), ("sample", "OWN-linear-ddpm-10-s0")]
    before = scratch.code(scratch.config("before.yaml", smoke()), others)
    scratch.add(NETWORK, SHALLOW)
    model = {"family": "OWN", "data": "tiny", "network": "shallow", "training": "short"}
    content = smoke(networks={"shallow": {"kind": "shallow", "width": 4}}, models={"OWN": model})
    run = scratch.config("own.yaml", content)
    added = scratch.code(run, others + own)
    assert {job: added[job] for job in others} == before
    scratch.command("prepare", run, "tiny")
    for rule, name in own:
        scratch.command(rule, run, name)
    samples = Run(scratch.folder / "results" / "new").samples(own[1][1])
    assert np.load(samples).shape == (6, 16, 16, 3)
    content["models"] = {"OWN": model}
    content["grid"] = [content["grid"][0] | {"model": "OWN", "schedule": "ve", "sampler": "heun"}]
    wrong = scratch.config("wrong.yaml", content)
    with pytest.raises(AssertionError, match="a shallow network is told times, not ve"):
        scratch.command("config", wrong)
    scratch.edit(NETWORK)
    edited = scratch.code(run, others + own)
    assert [job for job in added if edited[job] != added[job]] == own


def test_a_new_file_is_a_checkpoint_format_that_is_sampled_and_reruns_its_own_jobs(
    scratch: Scratch,
) -> None:
    from benchmark.models.networks.unet import UNet

    others = [("train", "DDPM-linear"), ("sample", CELL)]
    own = ("sample", "OWN-linear-ddpm-10-s0")
    before = scratch.code(scratch.config("before.yaml", smoke()), others)
    scratch.add(FORMAT, NPZ)
    network = smoke()["networks"]["net"]
    weights = {"kind": "npz", "path": "own.npz", "network": network, "resolution": 16}
    model = {"family": "OWN", "data": "tiny", "weights": weights}
    run = scratch.config("own.yaml", smoke(models={"OWN": model}))
    with pytest.raises(AssertionError, match=r"models\.OWN\.weights: own\.npz: no such file"):
        scratch.command("config", run)
    state = UNet.model_validate(network).build(16).state_dict()
    np.savez(scratch.folder / "own.npz", **{name: v.numpy() for name, v in state.items()})
    added = scratch.code(run, [*others, own])
    assert {job: added[job] for job in others} == before
    scratch.command(*own[:1], run, own[1])
    folder = Run(scratch.folder / "results" / "new")
    assert np.load(folder.samples(own[1])).shape == (6, 16, 16, 3)
    rows = json.loads(scratch.command("estimate", run, "--format", "json"))["rows"]
    [cost] = [row for row in rows if row["name"] == own[1]]
    assert (cost["origin"], cost["unknown"], cost["parameters"] > 0) == ("the config", "", True)
    record = json.loads(folder.record("sample", own[1]).read_text())
    assert record["checkpoint"]["name"] == "npz"
    assert "path" not in record["spec"]["weights"]
    scratch.edit(FORMAT)
    edited = scratch.code(run, [*others, own])
    assert [job for job in added if edited[job] != added[job]] == [own]
