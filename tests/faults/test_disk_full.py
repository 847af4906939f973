"""A disk without room: one clear line, what was there stays, and with room it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import CELLS, TRAININGS, copy_run, digests, fail, fill, mounted, outcome, succeed

STAGES = [
    ("prepare", "tiny"),
    ("train", TRAININGS[0]),
    ("sample", CELLS[0]),
    ("controls", "tiny"),
    ("features", CELLS[0]),
    ("features", "tiny"),
    ("evaluate", CELLS[0]),
    ("retrieve", CELLS[0]),
    ("tables", ""),
    ("plots", ""),
    ("site", ""),
]


@pytest.mark.slow
@pytest.mark.faults(
    "the disk is full",
    "prepare, train, sample, controls, features, evaluate, retrieve, tables, plots, site",
    "one line that says so; what was there is intact; with room the command ends as ever",
)
@pytest.mark.parametrize(("verb", "name"), STAGES)
def test_a_full_disk_is_one_line_and_harms_nothing(
    verb: str, name: str, undisturbed: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, 48):
        results = disk / "results"
        run = copy_run(undisturbed, results)
        if (verb, name) == ("features", "tiny"):
            for cached in (results / ".cache" / "features").iterdir():
                cached.unlink()
        ballast = fill(disk)
        before = digests(run.root)
        said = fail(results, verb, name)
        assert said.endswith("the disk is full: make room and run the command again")
        assert digests(run.root) == before
        ballast.unlink()
        succeed(results, verb, name)
        assert outcome(results) == outcome(undisturbed)
        assert digests(run.root).keys() == before.keys()
