"""A full disk: the error is one line, files stay, and the run continues once there is space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import CELLS, TRAININGS, copy_run, digests, fail, fill, mounted, outcome, succeed
from PIL import Image

from benchmark.core.errors import BenchmarkError
from benchmark.storage.atomic import FULL_DISK
from benchmark.storage.pictures import save_film

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


@pytest.mark.faults(
    "the disk gets full while ffmpeg writes the film of a run",
    "site",
    "one line that says so; no film that cannot be played is left",
)
def test_a_disk_that_gets_full_leaves_no_half_film(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 256, 256, 3), np.uint8)
    with mounted(tmp_path / "disk", 1):
        film = tmp_path / "disk" / "film.mp4"
        with pytest.raises(BenchmarkError, match=f"film.mp4: {FULL_DISK}"):
            save_film(list(map(Image.fromarray, noise)), 80, film)
        assert list(film.parent.iterdir()) == []
