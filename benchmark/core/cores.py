"""How many cores this process may use, whatever the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return how many cores the affinity of this process and the quotas of its cgroups allow.

    A quota with a fraction of a core is rounded up.

    Args:
        cgroups: folder in which Linux shows the control groups, of version 1 or 2.
        membership: file that lists the control groups of this process.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(cgroups, membership)]
    return max(1, min([cores, *quotas]))


def control_groups(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> Iterator[Path]:
    """Yield the folders of the control groups that may limit the processor time of this process.

    Args:
        cgroups: folder in which Linux shows the control groups, of version 1 or 2.
        membership: file that lists the control groups of this process.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # no Linux, or no /proc
        return
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0":
            yield from _upward(cgroups, group)
        elif "cpu" in controllers.split(","):
            yield from _upward(cgroups / "cpu", group)


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """Yield the quota, in cores, of each control group that limits this process."""
    for folder in control_groups(cgroups, membership):
        yield from _quota(folder / "cpu.max")  # version 2
        yield from _quota(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")  # version 1


def _upward(mount: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a group and of all groups that contain it, since each limits it.

    In a container the name may be that of outside, which is not found below `mount`; `mount`
    itself, which comes last, is then the folder of the group.
    """
    inside = mount / group.lstrip("/")
    yield inside
    yield from (folder for folder in inside.parents if folder.is_relative_to(mount))


def _quota(*files: Path) -> Iterator[float]:
    """Yield a quota in cores: its microseconds divided by those of the period."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        cores = float(quota) / float(period)  # without a limit the quota is "max" or -1
    except (OSError, ValueError, ZeroDivisionError):
        return
    if cores > 0:
        yield cores
