"""Fixtures of all tests: a tiny run, prepared once; and the table of the faults in tests."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import FAMILIES, SMOKE
from faults_table import Faults, write_table
from hypothesis import settings

from benchmark.config.config import Config
from benchmark.config.loading import load_config, parse_config
from benchmark.core import closure
from benchmark.core.closure import HOME, PACKAGE
from benchmark.records.record import read_records
from benchmark.report import saving
from benchmark.storage.paths import Run

# On a machine that is shared, the time that an example takes says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# Tests start many programs, and a run of tests many processes: all keep what they compile, whatever
# the environment says, so that it is compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The hub's client reads these once, when it is first imported: a test that needs them otherwise
# changes the client's constants, and what the user has set must not decide a test.
for switch in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "TRANSFORMERS_OFFLINE"):
    os.environ.pop(switch, None)

# A process of tests holds millions of objects, which Python would look through again and again.
gc.set_threshold(50_000, 20, 100)

# A shell lets background processes ignore Ctrl-C; the programs that tests start must not.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _peers_run_with_the_installed_scipy() -> Iterator[None]:
    """Let pytorch-fid and clean-fid work with the installed SciPy, in all tests."""
    from benchmark.tools.speed.older_scipy import sqrtm_with_disp

    with sqrtm_with_disp():
        yield


@pytest.fixture(scope="session")
def smoke() -> Config:
    return load_config(SMOKE)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, smoke: Config) -> Run:
    """A run whose data set is prepared; tests put nothing else into it."""
    from stages import do

    run = Run(tmp_path_factory.mktemp("results") / smoke.run)
    do("prepare", smoke, "tiny", run)
    return run


@pytest.fixture
def run(tmp_path: Path, prepared: Run) -> Run:
    """A new run with the data set prepared, for one test."""
    own = Run(tmp_path / prepared.root.name)
    own.data("tiny").parent.mkdir(parents=True)
    own.data("tiny").symlink_to(prepared.data("tiny"))
    return own


@pytest.fixture
def svg_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are written as SVG alone, which takes a third of the time of the three formats."""
    monkeypatch.setattr(saving, "METADATA", {"svg": saving.METADATA["svg"]})


FAULTS = pytest.StashKey[Faults]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-faults",
        type=Path,
        metavar="PAGE",
        help="with -m faults --collect-only: write the table of docs/faults.md again",
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    faults = session.config.stash[FAULTS] = Faults(session.items)
    if page := session.config.getoption("--write-faults"):
        write_table(faults, page)


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # else libraries that look for leaks as Python ends find all of it


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    faults = config.stash.get(FAULTS, None)
    if config.option.markexpr == "faults" and faults and not config.option.collectonly:
        reports: Iterable[object] = [r for found in terminalreporter.stats.values() for r in found]
        terminalreporter.section("faults tried")
        for line in faults.tried([r for r in reports if isinstance(r, pytest.TestReport)]):
            terminalreporter.write_line(line)


@pytest.fixture
def weighted(smoke: Config, run: Run) -> Run:
    """A new run with random weights for every training, for one test."""
    from random_weights import with_random_weights

    with_random_weights(smoke, run)
    return run


@pytest.fixture(scope="session")
def found() -> Callable[[Run], dict[str, Any]]:
    """A function that returns the results of a run: samples, and records without times."""
    times = {
        "train_seconds",
        "train_seconds_per_step",
        "sample_seconds",
    }
    timing = {"batch", "batch_images", "network_evaluations", "warmup_batches"}

    def read(run: Run) -> dict[str, Any]:
        records = read_records(run.root)
        samples = sorted((run.root / "samples").glob("*/samples.npy"))
        assert samples
        return {path.parent.name: path.read_bytes() for path in samples} | {
            f"{record.kind}/{record.id}": record.model_dump(
                exclude={
                    "provenance": True,
                    "timing": True,
                    "contention": True,
                    "step_laps": True,
                    "values": times,
                    "embedding": {"from_cache"},
                }
            )
            | (record.timing.model_dump(include=timing) if record.timing else {})
            for record in records
        }

    return read


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, whose code is hashed in place of this checkout's."""
    left_out = shutil.ignore_patterns("zoo", "__pycache__")
    shutil.copytree(HOME / PACKAGE, tmp_path / PACKAGE, ignore=left_out)
    monkeypatch.setattr(closure, "HOME", tmp_path)
    monkeypatch.setattr(closure, "TEMPLATES", tmp_path / PACKAGE / "report" / "templates")
    return tmp_path / PACKAGE


@pytest.fixture
def same_files(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy `scratch`, in which a test adds and removes no file: each is searched for once."""
    search = functools.cache(closure.source_file)
    monkeypatch.setattr(
        closure, "source_file", lambda module, folders: search(module, tuple(folders))
    )
    return scratch


@pytest.fixture
def families() -> Config:
    """A network of NCSN, one of an SDE, and a cell of images that were made elsewhere."""
    content: dict[str, Any] = yaml.safe_load(FAMILIES.read_text())
    del content["models"]["ready"]  # whose weights another run makes
    content["grid"] = [entry for entry in content["grid"] if entry["model"] != "ready"]
    return parse_config(content)
