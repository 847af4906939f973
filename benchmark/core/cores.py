"""How many cores this process may use, whatever the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return the cores that the affinity of this process and the quotas of its cgroups leave it.

    Of a quota that is no whole number of cores, the last part counts as one more.

    Args:
        cgroups: folder in which Linux shows the control groups, of version 1 or 2.
        membership: file that names those of this process.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(cgroups, membership)]
    return max(1, min([cores, *quotas]))


def control_groups(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> Iterator[Path]:
    """Yield the folders of the control groups that may limit the processor time of this process.

    Args:
        cgroups: folder in which Linux shows the control groups, of version 1 or 2.
        membership: file that names those of this process.
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
    """Yield the folder of a group and of those that it is in, as each of them limits it.

    In a container the group may be named from outside: what is shown then begins at its own.
    """
    inside = mount / group.lstrip("/")
    yield inside
    yield from (folder for folder in inside.parents if folder.is_relative_to(mount))


def _quota(*files: Path) -> Iterator[float]:
    """Yield microseconds of quota by those of the period, read from one file or from one each."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        cores = float(quota) / float(period)  # of no limit the quota is "max", or -1
    except (OSError, ValueError, ZeroDivisionError):
        return
    if cores > 0:
        yield cores
