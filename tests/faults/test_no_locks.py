"""A file system without locks: runs are slower or less protected, with the same results."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from harness import (
    CELLS,
    FIGURES,
    JOBS,
    copy_run,
    outcome,
    succeed,
    unfinished,
    warm_processes,
)
from no_locks import without_locks


@pytest.mark.slow
@pytest.mark.faults(
    "a file system without locks",
    "prepare, train, sample, controls, features, evaluate, retrieve, tables, plots, site",
    "all is done without them; prepare and train say that nothing keeps a second process away",
)
@pytest.mark.usefixtures("cold")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_run_without_locks_is_as_one_with_them(
    number: int, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(without_locks(tmp_path, number)), prepend=os.pathsep)
    results = tmp_path / "results"
    with warm_processes():  # without locks too
        for verb, name in JOBS:
            said = succeed(results, verb, name)
            assert ("this file system has no locks" in said) == (verb in ("prepare", "train"))
        for verb in FIGURES:
            succeed(results, verb)
    assert outcome(results) == outcome(undisturbed)
    assert unfinished(results) == []


@pytest.mark.slow
@pytest.mark.faults(
    "a file system without locks, and an unfinished file of a process that may still write it",
    "sample",
    "the file is let alone",
)
@pytest.mark.usefixtures("cold")
def test_without_locks_nothing_of_a_living_process_is_taken_for_a_leftover(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(without_locks(tmp_path, errno.ENOLCK)), prepend=os.pathsep)
    results = tmp_path / "results"
    run = copy_run(undisturbed, results)
    other = run.samples(CELLS[0]).with_name(".samples-0badc0de.npy")
    other.write_bytes(b"of a process that may be alive")
    succeed(results, "sample", CELLS[0])
    assert other.exists()
