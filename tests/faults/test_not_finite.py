"""NaN in sampling: the error has the number of the sample in its cell, whatever its batch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from stages import do
from torch import Tensor, nn

from benchmark.config.config import Config
from benchmark.config.loading import parse_config
from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.noise import NoiseStream
from benchmark.diffusion.processes.base import Process
from benchmark.stages import sample
from benchmark.storage.paths import Run

CELL = "DDPM-linear-ddpm-10-s0"
INDEX = 13


class Diverging(nn.Module):
    """A network whose output for one sample is NaN from its first step on.

    Args:
        network: what it is otherwise.
        process: of the samples.
        most: images for which there is memory.
    """

    def __init__(self, network: nn.Module, process: Process, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most
        self.x_T = process.prior(NoiseStream(0, [INDEX], (3, 16, 16))())

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        bad = (x == self.x_T).flatten(1).all(dim=1)
        output: Tensor = self.network(x, condition)
        return output.masked_fill(bad[:, None, None, None], torch.nan)


@pytest.mark.faults(
    "NaN in one sample",
    "sample, in shards and after halving too",
    "one line names the sample by its number among all; nothing is written",
)
@pytest.mark.parametrize("shard", [None, "12-18"])
@pytest.mark.parametrize("most", [6, 2])
def test_a_sample_that_is_not_finite_is_named_by_its_number_among_all(
    smoke: Config, weighted: Run, monkeypatch: pytest.MonkeyPatch, shard: str | None, most: int
) -> None:
    content = smoke.model_dump(mode="json")
    for entry in content["grid"]:
        entry["samples"] = 20
    config = parse_config(content)
    load = sample.load_network

    def diverging(*arguments: object) -> object:
        loaded = load(*arguments)  # type: ignore[arg-type]
        network = Diverging(loaded.network, loaded.schedule.process(), most)
        return dataclasses.replace(loaded, network=network)

    monkeypatch.setattr(sample, "load_network", diverging)
    with pytest.raises(BenchmarkError, match=rf"^{CELL}: sample {INDEX} is not finite"):
        do("sample", config, CELL, weighted, shard=shard)
    assert not list(weighted.root.glob("samples/**/*.npy"))
    assert not list(weighted.root.glob("**/records/**/*.json"))
    # the samples before it, and those of other shards, are drawn as ever
    do("sample", config, CELL, weighted, shard="0-12")
    drawn = np.load(weighted.shard("sample", CELL, "0-12").samples(CELL))
    assert drawn.shape == (12, 16, 16, 3)
