"""Caches and results that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import (
    CELLS,
    CONFIG,
    copy_run,
    digests,
    fail,
    mounted,
    outcome,
    remount,
    succeed,
)

NEEDED = [("features", "tiny"), ("evaluate", CELLS[0]), ("retrieve", CELLS[0])]


@pytest.mark.slow
@pytest.mark.faults(
    "a read-only cache that holds what is needed",
    "features, evaluate, retrieve",
    "it is used, without a word",
)
def test_a_read_only_cache_is_used(undisturbed: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / ".cache").mkdir(parents=True)
    with mounted(results / ".cache", 16):
        copy_run(undisturbed, results)
        before = digests(results / ".cache")
        remount(results / ".cache", "ro")
        for verb, name in NEEDED:
            assert "warning" not in succeed(results, verb, name)
        assert digests(results / ".cache") == before
        assert outcome(results) == outcome(undisturbed)


@pytest.mark.slow
@pytest.mark.faults(
    "a read-only cache that lacks what is needed",
    "features, evaluate, retrieve",
    "computed all the same and not kept, which stderr says",
)
def test_what_a_read_only_cache_lacks_is_computed(undisturbed: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / ".cache").mkdir(parents=True)
    copy_run(undisturbed, results)
    with mounted(results / ".cache", 1):
        remount(results / ".cache", "ro")
        for verb, name in NEEDED:
            said = succeed(results, verb, name)
            assert "cannot be written: what is missing there is computed and not kept" in said
        assert outcome(results) == outcome(undisturbed)


@pytest.mark.slow
@pytest.mark.faults(
    "a read-only results folder",
    "prepare, train, sample, evaluate, tables, plots, site",
    "one line that names the folder, before any work",
)
def test_a_read_only_results_folder_is_named(undisturbed: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, 48):
        run = copy_run(undisturbed, disk / "results")
        before = digests(run.root)
        remount(disk, "ro")
        for verb, name in [("prepare", "tiny"), ("train", next(iter(CONFIG.trainings)))]:
            assert f"{run.root} is not a writable folder" in fail(run.root.parent, verb, name)
        for verb, name in [("sample", CELLS[0]), ("evaluate", CELLS[0])]:
            assert f"{run.root} is not a writable folder" in fail(run.root.parent, verb, name)
        for verb in ("tables", "plots", "site"):
            assert "Read-only file system" in fail(run.root.parent, verb)
        assert digests(run.root) == before
