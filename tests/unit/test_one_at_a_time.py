"""A job that several real processes are asked to do at the same time."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from no_locks import without_locks

from benchmark.core.canonical import spec_hash
from benchmark.records.record import read_record
from benchmark.runtime.one_at_a_time import one_at_a_time
from benchmark.runtime.stopping import EXIT_RUN_AGAIN, Stopped
from benchmark.storage.paths import REFERENCE, Run

PROJECT = REFERENCE.parents[2]
RECORD = PROJECT / "tests/golden/run/records/sample/ddim-linear-ddim-50-s0.json"
SPEC = {"of": "this job"}
# Prints that it holds the lock, and does the job when its stdin is closed, unless it is done.
JOB = """
import json, signal, sys
signal.alarm(60)  # a job that waits for ever would keep the test waiting too
from pathlib import Path
from benchmark.runtime import one_at_a_time
from benchmark.storage.paths import Run
one_at_a_time.POLL_SECONDS = 0.02
run, spec, record = Run(Path(sys.argv[1])), json.loads(sys.argv[2]), sys.argv[3]
with one_at_a_time.one_at_a_time(run, "sample", "ddim-linear-ddim-50-s0", spec) as made:
    print("taken" if made else "doing", flush=True)
    if not made:
        sys.stdin.read()
        run.record("sample", "ddim-linear-ddim-50-s0").parent.mkdir(parents=True, exist_ok=True)
        run.record("sample", "ddim-linear-ddim-50-s0").write_text(record)
"""


class Jobs:
    """A function that starts processes which do one job; they are ended after the test."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self.stack = stack

    def start(self, spec: dict[str, str], **variables: str) -> subprocess.Popen[str]:
        content = json.loads(RECORD.read_text())
        content |= {"spec": spec, "spec_hash": spec_hash(spec)}
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, str(self.root), json.dumps(spec), json.dumps(content)],
            cwd=PROJECT,
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stack.enter_context(job)
        self.stack.callback(job.kill)
        return job


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with ExitStack() as stack:
        yield Jobs(tmp_path / "run", stack)


def line(stream: object) -> str:
    return stream.readline().strip()  # type: ignore[attr-defined, no-any-return]


def test_what_another_process_has_just_done_is_taken(jobs: Jobs) -> None:
    first = jobs.start(SPEC)
    assert line(first.stdout) == "doing"
    second = jobs.start(SPEC)
    assert line(second.stderr).startswith("waiting for another process at this job: ")
    first.communicate("")
    printed, said = second.communicate(timeout=60)
    assert printed == "taken\n"
    assert said.endswith(
        "ddim-linear-ddim-50-s0.json: another process has done this job meanwhile\n"
    )


def test_after_a_killed_process_the_one_that_waits_does_the_job(jobs: Jobs) -> None:
    first = jobs.start(SPEC)
    assert line(first.stdout) == "doing"
    second = jobs.start(SPEC)
    assert "waiting" in line(second.stderr)
    first.send_signal(signal.SIGKILL)
    assert line(second.stdout) == "doing"


def test_what_was_done_by_another_config_is_done_again(jobs: Jobs) -> None:
    first = jobs.start({"of": "another job"})
    assert line(first.stdout) == "doing"
    second = jobs.start(SPEC)
    assert "waiting" in line(second.stderr)
    first.communicate("")
    assert line(second.stdout) == "doing"


def test_what_was_done_before_is_done_again(jobs: Jobs) -> None:
    for _ in range(2):
        job = jobs.start(SPEC)
        assert line(job.stdout) == "doing"
        job.communicate("")
    assert read_record(Run(jobs.root).record("sample", "ddim-linear-ddim-50-s0")).spec == SPEC


def test_waiting_ends_with_the_time(jobs: Jobs) -> None:
    first = jobs.start(SPEC)
    assert line(first.stdout) == "doing"
    waiting = one_at_a_time(
        Run(jobs.root), "sample", "ddim-linear-ddim-50-s0", SPEC, is_spent=lambda: True
    )
    with pytest.raises(Stopped, match="another process was at this job") as stopped, waiting:
        raise AssertionError
    assert stopped.value.status == EXIT_RUN_AGAIN


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"])
def test_without_locks_a_line_says_that_nothing_keeps_processes_apart(
    name: str, jobs: Jobs, tmp_path: Path
) -> None:
    folders = f"{without_locks(tmp_path, getattr(errno, name))}{os.pathsep}{PROJECT}"
    job = jobs.start(SPEC, PYTHONPATH=folders)
    printed, said = job.communicate("", timeout=60)
    assert (job.returncode, printed) == (0, "doing\n")
    assert said.startswith("warning: ")
    assert said.endswith("no locks: start this job in one process at a time\n")
    assert said.count("\n") == 1
