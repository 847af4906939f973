"""What tests of faults share: a run that nothing disturbed, and warm processes for short jobs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import FIGURES, JOBS, succeed, warm_processes

from benchmark.runtime import warm as server

# Python imports this module when it starts. It notes all addresses but those of this machine.
GUARD = """
import os, socket, sys
HERE = ("127.0.0.1", "::1", "localhost", None, "")
def note(event, arguments):
    if event == "socket.getaddrinfo":
        to = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and arguments[0].family != socket.AF_UNIX:
        to = arguments[1][0]
    else:
        return
    if to not in HERE:
        with open(os.environ["CONNECTIONS"], "a") as log:
            print(event, to, sys.argv, file=log)
sys.addaudithook(note)
"""


@pytest.fixture(scope="session")
def connections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that gets a line for each address that a Python process looks up or connects to."""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "sitecustomize.py").write_text(GUARD)
    log = folder / "connections"
    log.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONNECTIONS", str(log))
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield log


@pytest.fixture(scope="session")
def warm(connections: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that have imported what jobs need, as in a run of the workflow."""
    os.environ.update(server.ONE_THREAD)
    with warm_processes() as processes:
        yield processes


@pytest.fixture
def cold(warm: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without warm processes: each job is a process of its own."""
    monkeypatch.delenv(server.FOLDER, raising=False)


@pytest.fixture(scope="session")
def undisturbed(warm: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder in which the smallest grid is done; tests change nothing in it."""
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    for verb, name in JOBS:
        succeed(results, verb, name)
    for verb in FIGURES:
        succeed(results, verb)
    return results
