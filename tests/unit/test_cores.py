"""The cores that a process may use, with real files of control groups laid out in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.core.cores import available_cores
from benchmark.storage.paths import REFERENCE

PROJECT = REFERENCE.parents[2]
CPU = Path("/sys/fs/cgroup/cpu/benchmark-test")  # a group of version 1


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/job\n", {"job/cpu.max": "400000 100000\n"}, 4),
        ("0::/job\n", {"job/cpu.max": "150000 100000\n"}, 2),
        ("0::/job\n", {"job/cpu.max": "1000 100000\n"}, 1),
        ("0::/job\n", {"job/cpu.max": "max 100000\n"}, 16),
        ("0::/job\n", {"job/cpu.max": "9900000 100000\n"}, 16),
        # a limit above the own group
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        # in a container: the name is of the outside, the files begin at the own group
        ("0::/docker/0123\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        # version 1, alone and beside version 2
        (
            "4:cpu,cpuacct:/job\n0::/\n",
            {"cpu/job/cpu.cfs_quota_us": "250000\n", "cpu/job/cpu.cfs_period_us": "50000\n"},
            5,
        ),
        (
            "4:cpuacct,cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            16,
        ),
        ("5:cpuset:/job\n", {"cpuset/job/cpu.cfs_quota_us": "100000\n"}, 16),
        ("0::/job\n", {"job/cpu.max": "\n"}, 16),
        ("0::/job\n", {}, 16),
    ],
)
def test_quotas_of_control_groups_limit_the_cores(
    membership: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    (tmp_path / "membership").write_text(membership)
    for name, content in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert available_cores(tmp_path / "cgroup", tmp_path / "membership") == expected


def test_the_affinity_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "missing"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7}, raising=False)
    assert available_cores(nowhere, nowhere) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert available_cores(nowhere, nowhere) == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(nowhere, nowhere) == 1


COUNT = "from benchmark.core.cores import available_cores; print(available_cores())"


def counted(before: str = "") -> int:
    """The cores of a real process, which `before` in a shell has limited."""
    command = f'{before} exec "$0" -c "$1"'
    done = subprocess.run(
        ["bash", "-ec", command, sys.executable, COUNT],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_real_process_that_is_bound_to_one_core_counts_one() -> None:
    assert counted("taskset -p -c 0 $$ >&2;") == 1


@pytest.mark.skipif(not os.access(CPU.parent, os.W_OK), reason="no control group can be made here")
def test_a_real_process_in_a_group_with_a_quota_counts_it() -> None:
    CPU.mkdir()
    try:
        (CPU / "cpu.cfs_quota_us").write_text("50000")
        assert counted(f"echo $$ > {CPU}/cgroup.procs;") == 1
    finally:
        CPU.rmdir()
