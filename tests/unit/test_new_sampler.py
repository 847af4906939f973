"""A sampler is one new file, and used without an edit of any other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from checkout import PROJECT
from scratch import Scratch

from benchmark.core.errors import BenchmarkError
from benchmark.diffusion.samplers import SAMPLERS
from benchmark.storage.paths import Run

FILE = "benchmark/diffusion/samplers/renoise.py"
OWN = ("sample", "DDIM-linear-renoise-2-s0")
OTHERS = [("sample", f"DDIM-linear-{name}-2-s0") for name in ("ddim", "ddpm")]
CONTENT = {
    "run": "own",
    "device": "cpu",
    "sampling_batch": 3,
    "data": {
        "small": {
            "source": "avatars",
            "style": "toon-head",
            "resolution": 32,
            "train": 12,
            "held_out": 6,
        }
    },
    "models": {
        "DDIM": {
            "family": "DDIM",
            "data": "small",
            "weights": {"kind": "zoo", "name": "avatars-ddpm"},
        }
    },
    "grid": [
        {
            "table": "own",
            "model": "DDIM",
            "schedule": "linear",
            "sampler": ["ddim", "ddpm"],
            "steps": 2,
            "samples": 3,
        }
    ],
    "evaluation": {"metrics": {"fd": {"kind": "frechet"}}, "controls": []},
}
ENTRY = CONTENT["grid"][0] | {"sampler": ["ddim", "ddpm", "renoise"]}


def example() -> str:
    """Return the sampler that docs/extending.md shows."""
    page = (PROJECT / "docs" / "extending.md").read_text()
    found = re.search(rf"```python\n# {FILE}[^\n]*\n(.*?)```", page, re.S)
    assert found
    return found[1]


def test_a_sampler_is_one_new_file_that_samples_and_reruns_no_other(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    before = scratch.code(scratch.config("before.yaml", CONTENT), OTHERS)
    scratch.add(FILE, example())
    own = scratch.config("own.yaml", CONTENT | {"grid": [ENTRY]})
    with_own = scratch.code(own, [OWN, *OTHERS])
    assert {job: with_own[job] for job in OTHERS} == before

    scratch.command("sample", own, OWN[1])
    samples = np.load(Run(scratch.folder / "results" / "own").samples(OWN[1]))
    assert samples.shape == (3, 32, 32, 3)
    assert samples.std() > 10  # no two pixels need be equal
    assert '"renoise"' in scratch.command("schema")

    scratch.edit(FILE)
    edited = scratch.code(own, [OWN, *OTHERS])
    assert {job for job in edited if edited[job] != with_own[job]} == {OWN}


def test_an_edited_sampler_reruns_its_own_cells_alone(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    config = scratch.config("own.yaml", CONTENT)
    before = scratch.code(config, OTHERS)
    scratch.edit("benchmark/diffusion/samplers/ddim.py")
    after = scratch.code(config, OTHERS)
    assert [job for job in OTHERS if after[job] != before[job]] == [OTHERS[0]]


def test_a_sampler_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BenchmarkError, match=r"no sampler 'dim': did you mean 'ddim'\?"):
        SAMPLERS.get("dim")
