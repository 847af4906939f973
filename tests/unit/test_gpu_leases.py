"""Leases of GPUs, by real processes side by side; the GPUs are names."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from no_locks import without_locks

from benchmark.core.errors import BenchmarkError
from benchmark.runtime.gpu_leases import LEASED, VISIBLE, lease, visible

INSTALLED = ["GPU-a1", "GPU-b2", "GPU-c3"]
JOB = """
import json, os, sys
from pathlib import Path
from benchmark.runtime import gpu_leases as gpus
gpus.LEASE_POLL_SECONDS = 0.02
folder, installed, options = map(json.loads, sys.argv[1:])
leased = gpus.lease(**options, installed=installed, folder=Path(folder))
print(json.dumps([leased, os.environ.get(gpus.VISIBLE)]), flush=True)
sys.stdin.read()
"""
# Notes in one file, by appends that are whole, when it has got its GPUs and when it gives them up.
SHORT_JOB = """
import os, sys, time
from pathlib import Path
from benchmark.runtime import gpu_leases as gpus
gpus.LEASE_POLL_SECONDS = 0.01
folder, installed, count = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
with open(f"{folder}.log", "a", buffering=1) as log:
    for gpu in gpus.lease(count, installed=installed, folder=Path(folder)):
        log.write(f"take {gpu}\\n")
    time.sleep(0.05)
    for gpu in os.environ[gpus.VISIBLE].split(","):
        log.write(f"give {gpu}\\n")
"""


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has leased no GPU, and is not a job of SLURM."""
    for name in (LEASED, VISIBLE, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


class Jobs:
    """Starts jobs that keep what they lease until their input is closed, or they are killed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack

    def start(
        self, installed: list[str], *, shown: str | None = None, **options: int
    ) -> subprocess.Popen[str]:
        environment = os.environ | ({VISIBLE: shown} if shown is not None else {})
        arguments = map(json.dumps, (str(self.folder), installed, options))
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, *arguments],
            env=environment,
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
        yield Jobs(tmp_path / "locks", stack)


def leased_by(job: subprocess.Popen[str]) -> list[str]:
    assert job.stdout is not None
    leased, shown = json.loads(job.stdout.readline())
    assert shown == ",".join(leased)
    return list(leased)


def waits(job: subprocess.Popen[str]) -> str:
    """The line with which a job says that it waits."""
    assert job.stderr is not None
    return job.stderr.readline()


@pytest.mark.parametrize("count", [1, 2])
def test_no_gpu_is_ever_held_by_two_jobs(tmp_path: Path, count: int) -> None:
    command = [sys.executable, "-c", SHORT_JOB, str(tmp_path / "locks"), ",".join(INSTALLED)]
    started = [subprocess.Popen([*command, str(count)], stderr=subprocess.PIPE) for _ in range(8)]
    for job in started:
        job.communicate()
        assert job.returncode == 0
    held: set[str] = set()
    lines = (tmp_path / "locks.log").read_text().splitlines()
    assert len(lines) == 2 * 8 * count
    for verb, gpu in map(str.split, lines):
        assert (gpu in held) == (verb == "give")
        (held.remove if verb == "give" else held.add)(gpu)


def test_a_killed_job_gives_its_gpu_back(jobs: Jobs) -> None:
    first = jobs.start(["GPU-a1"])
    assert leased_by(first) == ["GPU-a1"]
    second = jobs.start(["GPU-a1"])
    assert "waiting for 1 of the GPUs GPU-a1" in waits(second)
    first.kill()
    assert leased_by(second) == ["GPU-a1"]


def test_two_gpus_are_taken_together_and_none_while_one_is_missing(jobs: Jobs) -> None:
    first = jobs.start(["GPU-a1", "GPU-b2"])
    assert leased_by(first) == ["GPU-a1"]
    both = jobs.start(["GPU-a1", "GPU-b2"], count=2)
    assert "waiting for 2 of the GPUs GPU-a1,GPU-b2" in waits(both)
    third = jobs.start(["GPU-a1", "GPU-b2"])
    assert leased_by(third) == ["GPU-b2"]
    for job in (first, third):
        job.communicate()
    assert leased_by(both) == ["GPU-a1", "GPU-b2"]


def test_the_order_of_the_visible_gpus_is_kept(jobs: Jobs) -> None:
    assert leased_by(jobs.start(INSTALLED, shown="GPU-c3,0", count=2)) == ["GPU-c3", "GPU-a1"]


def test_a_number_and_a_uuid_are_the_same_gpu(jobs: Jobs) -> None:
    assert leased_by(jobs.start(INSTALLED, shown="1")) == ["GPU-b2"]
    assert "waiting for 1 of the GPUs GPU-b2" in waits(jobs.start(INSTALLED, shown="GPU-b"))


def test_a_gpu_that_is_asked_for_by_its_place_is_taken_though_others_are_free(jobs: Jobs) -> None:
    assert leased_by(jobs.start(INSTALLED, shown="0,2", position=1)) == ["GPU-c3"]
    assert leased_by(jobs.start(INSTALLED)) == ["GPU-a1"]
    assert "GPUs GPU-c3:" in waits(jobs.start(INSTALLED, position=2))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_users_of_one_machine_share_the_locks(jobs: Jobs, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):  # the latter of pytest-xdist
            folder.chmod(0o711)
    child = os.fork()
    if child == 0:
        try:
            os.umask(0o077)
            os.setuid(65534)
            lease(installed=["GPU-a1"], folder=jobs.folder)
            os._exit(0)
        finally:  # an error must not have the child go on with the other tests
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert leased_by(jobs.start(["GPU-a1"])) == ["GPU-a1"]
    assert (jobs.folder / "GPU-a1.lock").stat().st_uid == 65534


def test_without_locks_on_files_nothing_is_leased_and_a_line_says_so(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(without_locks(tmp_path, errno.ENOLCK)), prepend=os.pathsep)
    job = jobs.start(["GPU-a1"], shown="0")
    printed, said = job.communicate("", timeout=60)
    assert json.loads(printed) == [[], "0"]
    assert said.startswith(f"warning: {jobs.folder}: No locks available: ")
    assert said.count("\n") == 1


def test_a_folder_that_is_a_file_leases_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "locks").touch()
    assert lease(installed=["GPU-a1"], folder=tmp_path / "locks") == []
    assert "Not a directory: without locks on files there" in capsys.readouterr().err


def test_a_child_uses_what_its_parent_has_leased(
    monkeypatch: pytest.MonkeyPatch, jobs: Jobs, tmp_path: Path
) -> None:
    monkeypatch.setenv(VISIBLE, "2,1")
    assert lease(2, installed=INSTALLED, folder=jobs.folder) == ["GPU-c3", "GPU-b2"]
    assert leased_by(jobs.start(INSTALLED, count=2)) == ["GPU-c3", "GPU-b2"]


def test_in_a_job_of_slurm_its_gpu_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv(VISIBLE, "0")
    assert lease(installed=INSTALLED, folder=tmp_path / "locks") == []
    assert os.environ[VISIBLE] == "0"
    assert not (tmp_path / "locks").exists()


def test_of_several_gpus_of_a_job_of_slurm_one_is_leased(
    monkeypatch: pytest.MonkeyPatch, jobs: Jobs
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv(VISIBLE, "2,0")
    assert lease(installed=INSTALLED, folder=jobs.folder) == ["GPU-c3"]
    assert os.environ[VISIBLE] == "GPU-c3"


def test_one_gpu_by_its_place_is_not_several(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cuda:1 is one GPU and 2 are needed: use cuda or"):
        lease(2, 1, installed=INSTALLED, folder=tmp_path / "locks")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (None, INSTALLED),
        ("2,0", ["GPU-c3", "GPU-a1"]),
        ("GPU-b2, 0", ["GPU-b2", "GPU-a1"]),
        ("GPU-b", ["GPU-b2"]),
        ("0,7,1", ["GPU-a1"]),
        ("0,0,1", ["GPU-a1"]),
        ("0,GPU-a1,1", ["GPU-a1"]),
        ("0,GPU-,1", ["GPU-a1"]),
        ("-1", []),
        ("", []),
        ("MIG-4f/0/1", ["MIG-4f/0/1"]),
    ],
)
def test_the_visible_gpus_are_those_that_cuda_would_see(
    shown: str | None, expected: list[str]
) -> None:
    assert visible(INSTALLED, shown) == expected


def test_nothing_is_leased_where_no_gpu_is(tmp_path: Path) -> None:
    assert visible([], "0") == visible([], "MIG-4f") == []
    assert lease(installed=[], folder=tmp_path / "locks") == []
    assert VISIBLE not in os.environ


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"count": 4}, "4 GPUs are needed and 3 visible: GPU-a1,GPU-b2,GPU-c3"),
        ({"position": 3}, "4 GPUs are needed and 3 visible: GPU-a1,GPU-b2,GPU-c3"),
    ],
)
def test_more_gpus_than_there_are_is_one_line(
    tmp_path: Path, options: dict[str, int], expected: str
) -> None:
    with pytest.raises(BenchmarkError, match=expected):
        lease(**options, installed=INSTALLED, folder=tmp_path / "locks")


def test_a_job_leases_its_gpu_before_torch_looks_for_one(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'GPU-a1\\nGPU-b2\\n'\n")
    tool.chmod(0o755)
    script = f"""
import os
import torch
from pathlib import Path
from benchmark.runtime import device
from benchmark.runtime import gpu_leases as gpus
gpus.lease.__kwdefaults__["folder"] = Path({str(tmp_path / "locks")!r})
torch.version.cuda = "13.0"
torch.cuda.is_available = lambda: print(os.environ[gpus.VISIBLE]) or True
print(device.resolve_device("cuda:1"), device.resolve_device("cpu"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["GPU-b2", "cuda", "cpu"], done.stderr
