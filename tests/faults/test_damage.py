"""Damaged files: a command that reads one names it in one line that says what to do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import (
    CELLS,
    CONFIG,
    TRAININGS,
    copy_run,
    digest,
    digests,
    fail,
    flip,
    outcome,
    succeed,
)

from benchmark.storage.paths import Run

EXTRACTOR = CONFIG.evaluation.extractor
CELL = CELLS[0]
Damage = Callable[[Path], None]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_in_the_middle(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


@pytest.fixture
def results(undisturbed: Path, tmp_path: Path) -> Path:
    copy_run(undisturbed, tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.slow
@pytest.mark.faults(
    "a flipped bit in the prepared images",
    "train, controls, features, retrieve",
    "found by its hash, one line: prepare the data again; done so, all goes on",
)
@pytest.mark.parametrize(
    ("verb", "name"),
    [("train", TRAININGS[0]), ("controls", "tiny"), ("features", "tiny"), ("retrieve", CELL)],
)
def test_changed_pixels_are_found_by_whoever_reads_them(
    verb: str, name: str, results: Path, undisturbed: Path
) -> None:
    images = Run(results / CONFIG.run).images("tiny")
    state = images.stat()
    flip(images, images.stat().st_size // 3)
    os.utime(images, ns=(state.st_atime_ns, state.st_mtime_ns))  # as if nothing had been written
    before = digests(results)
    said = fail(results, verb, name)
    assert f"{images}: the train images are not the ones of the manifest; prepare" in said
    assert digests(results) == before
    succeed(results, "prepare", "tiny")
    succeed(results, verb, name)
    assert outcome(results) == outcome(undisturbed)


@pytest.mark.slow
@pytest.mark.faults(
    "samples.npy or features.npy truncated, or with a flipped bit",
    "features, evaluate, retrieve",
    "one line that names the file; made again, all goes on",
)
@pytest.mark.parametrize("damage", [truncate, flip_in_the_middle])
@pytest.mark.parametrize(
    ("of", "reader"),
    [
        ("samples", "features"),
        ("samples", "retrieve"),
        ("features", "evaluate"),
        ("features", "retrieve"),
    ],
)
def test_a_damaged_array_is_named(
    of: str, reader: str, damage: Damage, results: Path, undisturbed: Path
) -> None:
    run = Run(results / CONFIG.run)
    path = run.samples(CELL) if of == "samples" else run.features(EXTRACTOR, CELL)
    damage(path)
    said = fail(results, reader, CELL)
    assert f"{path}: damaged: " in said
    assert said.endswith("remove it and make it again by the command that wrote it")
    path.unlink()
    succeed(results, "sample" if of == "samples" else "features", CELL)
    succeed(results, reader, CELL)
    assert outcome(results) == outcome(undisturbed)


@pytest.mark.slow
@pytest.mark.faults(
    "trained weights truncated, or with a flipped bit",
    "sample",
    "one line that names the file; trained again, all goes on",
)
@pytest.mark.parametrize("damage", [truncate, flip_in_the_middle])
def test_damaged_weights_are_named(damage: Damage, results: Path, undisturbed: Path) -> None:
    training = str(CONFIG.cell(CELL).trained_as)
    path = Run(results / CONFIG.run).weights(training)
    damage(path)
    said = fail(results, "sample", CELL)
    assert f"{path}: damaged weights" in said
    assert said.endswith("fetch or train them again")
    succeed(results, "train", training)
    succeed(results, "sample", CELL)
    assert outcome(results) == outcome(undisturbed)


@pytest.mark.slow
@pytest.mark.faults(
    "a record that ends half-way",
    "tables, plots, site",
    "one line that names it; the tables of before stay",
)
@pytest.mark.parametrize("verb", ["tables", "plots", "site"])
def test_half_a_record_is_named(verb: str, results: Path, undisturbed: Path) -> None:
    run = Run(results / CONFIG.run)
    record = run.record("metrics", CELL)
    truncate(record)
    before = digests(run.root)
    said = fail(results, verb)
    assert f"{record}: not a readable record: " in said
    assert said.endswith("remove it and run its command again")
    assert digests(run.root) == before
    record.unlink()
    succeed(results, "evaluate", CELL)
    succeed(results, verb)
    assert outcome(results) == outcome(undisturbed)


@pytest.mark.slow
@pytest.mark.faults(
    "a cached file truncated, or with a flipped bit",
    "cached features of a data set, statistics of them, near-duplicates",
    "said on stderr, and made anew with the same bytes",
)
@pytest.mark.parametrize("damage", [truncate, flip_in_the_middle])
@pytest.mark.parametrize(
    ("folder", "reader", "name"),
    [("features", "features", "tiny"), ("kept", "evaluate", CELL), ("kept", "retrieve", CELL)],
)
def test_damage_in_a_cache_is_said_and_repaired(
    folder: str, reader: str, name: str, damage: Damage, results: Path, undisturbed: Path
) -> None:
    cache = results / ".cache" / folder
    entries = [path for path in cache.iterdir() if path.suffix in {".npy", ".npz"}]
    before = {path: digest(path) for path in entries}
    for path in entries:
        damage(path)
    said = succeed(results, reader, name)
    named = [path for path in entries if f"warning: {path}: damaged: " in said]
    assert named
    for path in named:
        assert digest(path) == before[path]
    assert outcome(results) == outcome(undisturbed)
    if folder == "features":
        again = json.loads(Run(results / CONFIG.run).record("features", name).read_bytes())
        assert again["embedding"]["from_cache"] is False
    shutil.rmtree(results)
