"""What tests of faults share: a run that nothing disturbed, and warm processes for short jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import FIGURES, JOBS, SMOKE, succeed

from benchmark import server


@pytest.fixture(scope="session")
def warm() -> Iterator[None]:
    """Processes that have imported what jobs need, as in a run of the workflow."""
    os.environ.update(server.ONE_THREAD)
    processes = server.start(SMOKE)
    yield
    del os.environ[server.FOLDER]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


@pytest.fixture
def cold(warm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are processes of their own."""
    monkeypatch.delenv(server.FOLDER, raising=False)


@pytest.fixture(scope="session")
def undisturbed(warm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder in which the smallest grid is done; tests change nothing in it."""
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    for verb, name in JOBS:
        succeed(results, verb, name)
    for verb in FIGURES:
        succeed(results, verb)
    return results
