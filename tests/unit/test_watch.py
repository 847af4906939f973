"""The command `watch` tells from the files of a run how far it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from checkout import SMOKE
from records_fixture import record

from benchmark.config.expected import expected_records
from benchmark.config.loading import load_config, newest_config, resolved
from benchmark.core.errors import BenchmarkError
from benchmark.core.values import Value
from benchmark.records.record import Kind
from benchmark.storage.paths import REFERENCE, Run
from benchmark.tools import watch
from benchmark.tools.watch import QUIET, Screen, look

NOW = 2_000_000_000.0
EXPECTED = expected_records(load_config(SMOKE))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that has just begun."""
    run, config = Run(tmp_path / "smoke"), load_config(SMOKE)
    content = resolved(config)
    run.root.mkdir()
    run.config(content).write_text(content)
    return run


def write(run: Run, kind: Kind, name: str, at: float = NOW, **parts: object) -> None:
    path = run.record(kind, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record(kind, name, 1.0, **parts).model_dump_json())
    os.utime(path, (at, at))


def log(run: Run, verb: str, name: str, text: str, at: float = NOW) -> None:
    path = run.log(verb, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))


def test_every_job_of_the_config_is_expected() -> None:
    expected = expected_records(load_config(SMOKE))
    assert len(expected) == len(set(expected))
    counts = {kind: [k for k, _ in expected].count(kind) for kind, _ in expected}
    # 4 cells and 6 controls, of which 5 are made in one array; 4 trainings; one data set
    assert counts == {
        **{"data": 1, "train": 4, "sample": 4, "controls": 1},
        **{"features": 6, "metrics": 10, "retrieval": 10},
    }


def test_nothing_is_done_at_the_beginning(run: Run) -> None:
    state = look(run, EXPECTED, NOW)
    assert not state.is_over
    assert list(state.lines()) == [
        "0 of 36 jobs are done, 36 left: prepare 0/1, train 0/4, sample 0/4, controls 0/1, "
        "features 0/6, evaluate 0/10, retrieve 0/10"
    ]


def test_what_runs_tells_its_last_line_and_what_is_done_its_result(run: Run) -> None:
    write(run, "data", "tiny", NOW - 9)
    write(run, "train", "DDPM-linear", NOW - 5, values={"final_loss": Value(value=0.125)})
    log(run, "train", "DDPM-linear", "train DDPM-linear: 12/12, 9 s\n")
    log(run, "train", "DDPM-cosine", "first\ntrain DDPM-cosine: 3/12, 9 s, loss 0.5\n")
    log(run, "train", "DDIM-linear", "old\n", NOW - QUIET - 1)
    log(run, "sample", "DDPM-linear-ddpm-10-s0", "")
    first, *rest = look(run, EXPECTED, NOW).lines()
    assert first.startswith("2 of 36 jobs are done, 34 left: prepare 1/1, train 1/4")
    assert rest == [
        "train DDPM-cosine: 3/12, 9 s, loss 0.5",
        "sample DDPM-linear-ddpm-10-s0: begun",
        "newest: train DDPM-linear: loss 0.125",
    ]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no run has begun there"):
        watch.watch(Run(tmp_path), REFERENCE, 1)


def test_the_newest_config_counts(run: Run) -> None:
    smaller = yaml.safe_load(SMOKE.read_text())
    smaller["grid"], smaller["evaluation"]["neighbours"] = smaller["grid"][:1], 0
    path = run.root / "config-000000000000.json"
    path.write_text(yaml.safe_dump(smaller))
    os.utime(path, (NOW, NOW))
    expected = expected_records(load_config(newest_config(run)))
    assert "retrieve" not in next(iter(look(run, expected, NOW).lines()))


def test_without_a_terminal_only_changes_are_printed_until_the_run_is_over(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = expected_records(load_config(SMOKE))
    looks = []

    def wait(_: float) -> None:
        looks.append(len(left))
        if len(looks) % 2:  # every second look finds nothing new
            for kind, name in left:
                path = run.record(kind, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}")
            left.clear()

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    monkeypatch.setattr(watch, "_said", lambda _: "")
    monkeypatch.setattr(watch, "read_record", lambda _: None)
    monkeypatch.setattr(watch, "ending", lambda *_: ["the end"])
    watch.watch(run, REFERENCE, 0.1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" jobs")[0] for line in lines] == ["0 of 36", "36 of 36", "the end"]


def _drawn(there: int) -> Iterator[str]:
    """All that a terminal was sent, in as many reads as it takes, once its other end is closed."""
    with contextlib.suppress(OSError):  # EIO is how Linux says that the other end is closed
        while part := os.read(there, 4096):
            yield part.decode()


@pytest.mark.parametrize("columns", [80, 160])
def test_no_line_is_wider_than_the_terminal_and_the_view_is_drawn_in_its_place(
    columns: int,
) -> None:
    there, here = pty.openpty()
    fcntl.ioctl(here, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    said = [f"job {i}: " + 24 * "word " for i in range(3)]
    with os.fdopen(here, "w") as stream:
        screen = Screen(stream)
        screen.show(said)
        screen.show([*said[:1], "done"])
    drawn = "".join(_drawn(there))
    os.close(there)
    first, _, second = drawn.partition("\x1b[J")
    rows = [re.sub(r"\x1b\[\w*", "", row) for row in first.splitlines()]
    assert all(len(row) < columns for row in rows)
    assert " ".join(" ".join(rows).split()) == " ".join(" ".join(said).split())
    assert second.startswith(f"\x1b[{len(rows)}F")  # back to the first row of what was there
    assert second.rstrip().endswith("\x1b[J")  # nothing of it is left below
