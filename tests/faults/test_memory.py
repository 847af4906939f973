"""Too little memory for a batch of sampling or embedding: smaller batches, the same images."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from random_weights import with_random_weights
from stages import do
from torch import Tensor, nn

from benchmark.config.config import Config
from benchmark.config.loading import parse_config, resolved
from benchmark.core.errors import BenchmarkError
from benchmark.extractors import Extractor
from benchmark.models.description import Loaded
from benchmark.records.record import read_record
from benchmark.stages import sample
from benchmark.storage.paths import Run
from benchmark.storage.pictures import read_movie

CELL = "DDIM-linear-ddim-5-s0"
EXTRACTOR = "efficientnet-lite0"
PROJECT = Path(__file__).parents[2]
STATUS = """
import json, re, sys
from pathlib import Path
from benchmark.cli.app import main
sys.argv[1:] = json.loads(sys.argv[1])
try:
    main()
finally:
    print(re.search(r"VmPeak:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


class Job(NamedTuple):
    """A verb that has run in a process of its own."""

    status: int
    address_space: int  # at most, in bytes
    errors: str


def job(arguments: list[str], limit: int | None = None) -> Job:
    """Run a verb, in so many bytes of address space."""
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
        # freed blocks of this size go back to the system, so that what is used is what is needed
        "MALLOC_MMAP_THRESHOLD_": str(2**17),
    }
    done = subprocess.run(
        [sys.executable, "-c", STATUS, json.dumps(arguments)],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))),
    )
    return Job(done.returncode, int(done.stdout or 0) * 1024, done.stderr)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.faults(
    "out of memory on a CPU",
    "sample",
    "the batch is halved and a line says so; the images stay the same",
)
def test_where_memory_ends_batches_are_halved(smoke: Config, tmp_path: Path) -> None:
    batch = 128

    def in_batches_of(size: int, name: str, limit: int | None = None) -> tuple[Job, NDArray[Any]]:
        config = of_large_images(smoke, samples=batch, batch=size)
        run = Run(tmp_path / name / smoke.run)
        with_random_weights(config, run)
        file = tmp_path / f"{name}.yaml"
        file.write_text(resolved(config))
        done = job(["sample", str(file), CELL, "--results", str(run.root.parent)], limit)
        assert done.status == 0, done.errors
        return done, np.load(run.samples(CELL))

    (all_at_once, whole), (in_two, halves) = (
        in_batches_of(size, str(size)) for size in (batch, batch // 2)
    )
    between = (all_at_once.address_space + in_two.address_space) // 2
    assert between - in_two.address_space > 20e6, "the limit would be within what varies"
    limited, found = in_batches_of(batch, "limited", between)
    assert limited.errors == (
        f"sample {CELL}: out of memory with {batch} images at once: going on with {batch // 2}\n"
    )
    assert np.array_equal(found, halves)
    # sums run in another order in batches of another size
    np.testing.assert_allclose(found.astype(float), whole, rtol=1e-4, atol=1)


def of_large_images(config: Config, samples: int, batch: int) -> Config:
    """A config whose batches need far more memory than all else."""
    content = config.model_dump(mode="json")
    content["data"]["tiny"]["resolution"] = 64
    content["grid"][1] |= {"samples": samples, "schedule": ["linear"]}
    del content["grid"][0]
    return parse_config({**content, "sampling_batch": batch, "feature_batch": batch})


class Small(nn.Module):
    """A network on a GPU with memory for so many images; no such GPU is needed."""

    def __init__(self, network: Callable[..., Tensor], most: int) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.network(x, *condition)


def let_fit(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let the networks of both stages run out of memory with more images."""
    load, embedder = sample.load_network, Extractor.load

    def loaded(*arguments: Any) -> Loaded:
        found = load(*arguments)
        return dataclasses.replace(found, network=Small(found.network, most))

    monkeypatch.setattr(sample, "load_network", loaded)
    monkeypatch.setattr(Extractor, "load", lambda *given: Small(embedder(*given), most))


@pytest.mark.faults(
    "out of memory on a GPU (its error is raised without one)",
    "sample, features",
    "as on a CPU; the record tells the batches, and such times compare with no others",
)
def test_the_record_tells_the_batches_that_were_drawn(
    smoke: Config,
    weighted: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    do("sample", smoke, CELL, weighted)
    do("features", smoke, CELL, weighted)
    samples = np.load(weighted.samples(CELL)).astype(int)
    embedded = np.load(weighted.features(EXTRACTOR, CELL))
    before = read_record(weighted.record("sample", CELL))
    let_fit(monkeypatch, most=3)
    capsys.readouterr()
    after = do("sample", smoke, CELL, weighted)
    do("features", smoke, CELL, weighted)
    assert np.abs(np.load(weighted.samples(CELL)) - samples).max() <= 1
    np.testing.assert_allclose(
        np.load(weighted.features(EXTRACTOR, CELL)), embedded, rtol=1e-3, atol=1e-3
    )
    assert capsys.readouterr().err.splitlines() == [
        f"sample {CELL}: out of memory with 6 images at once: going on with 3",
        f"features {CELL}: out of memory with 8 images at once: going on with 4",
        f"features {CELL}: out of memory with 4 images at once: going on with 2",
    ]
    assert after.timing is not None
    assert before.timing is not None
    assert (before.timing.batches, after.timing.batches) == (6, 3)
    assert after.timing.batch_images == [3, 3, 2]
    assert len(after.timing.batch_seconds) == 3
    assert after.timing.warmup_batches == 2
    assert after.timing.network_evaluations == 5  # those that failed are not counted


def test_the_rows_of_the_chain_are_those_of_the_first_batch_that_fits(
    smoke: Config, weighted: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_fit(monkeypatch, most=3)
    do("sample", smoke, CELL, weighted)
    frames = read_movie(weighted.movie(CELL), 16)
    assert frames.shape == (6, 3, 16, 16, 3)  # before each of the 5 steps, and at the end
    assert np.array_equal(frames[-1], np.load(weighted.samples(CELL))[:3])


@pytest.mark.faults(
    "no memory for a single image",
    "sample, features",
    "one clear line; nothing is written",
)
@pytest.mark.parametrize("rule", ["sample", "features"])
def test_no_memory_for_one_image_is_one_line(
    smoke: Config, weighted: Run, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    if rule == "features":
        do("sample", smoke, CELL, weighted)
    let_fit(monkeypatch, most=0)
    with pytest.raises(BenchmarkError, match=f"{CELL}: out of memory with one image at once: free"):
        do(rule, smoke, CELL, weighted)
    assert not weighted.features(EXTRACTOR, CELL).exists()
    assert weighted.samples(CELL).exists() == (rule == "features")
