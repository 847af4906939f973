"""A reference in chunks: stopped in time, continued, and kept under the machine's name."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
from records_fixture import write_run

from benchmark.core.errors import BenchmarkError
from benchmark.records.record import read_records
from benchmark.tools import reference


def test_a_command_is_stopped_in_time_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "stubborn.py"
    module.write_text(
        "import pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(reference, "GRACE", 0.2)
    assert reference._done(["stubborn"], time.monotonic() + 5) is False
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie":
            break
        time.sleep(0.1)
    else:
        pytest.fail("what the command had started goes on")


def test_a_command_that_fails_is_named() -> None:
    with pytest.raises(BenchmarkError, match="no_such_module: failed with status 1"):
        reference._done(["no_such_module"], time.monotonic() + 60)


def test_what_is_small_is_kept_under_the_name_of_the_processor(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for part in ("tables", "plots"):
        (run.root / part).mkdir()
    speed = tmp_path / "metrics.json"
    speed.write_text("{}")
    folder = reference._keep(run, [speed], tmp_path)
    assert folder.parent.parent == tmp_path / "reference"
    assert folder.parent.name.replace("-", "").isalnum()
    assert folder.parent.name == folder.parent.name.lower()
    assert read_records(folder) == read_records(run.root)
    assert (folder / "speed" / "metrics.json").read_text() == "{}"
