"""Count the processors that are available to this process, which in a container may be fewer than the machine has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# The files of a control group's processor quota in version 2 and in version 1 of Linux's control groups.
_QUOTA_2 = "cpu.max"
_QUOTA_1, _PERIOD_1 = "cpu.cfs_quota_us", "cpu.cfs_period_us"


def count_processors(root: Path = Path("/")) -> int:
    """Count the processors that are available to this process.

    The smaller of what the affinity mask allows (``taskset``, ``docker --cpuset-cpus``) and of the quotas of the
    process's control group and its parents (``docker --cpus``, limits of Kubernetes), rounded down, since threads
    beyond a quota only use it up sooner and are then all stopped.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    int
        At least 1.

    Notes
    -----
    Quotas are read as https://docs.kernel.org/admin-guide/cgroup-v2.html and
    https://docs.kernel.org/scheduler/sched-bwc.html describe them.
    """
    return max(1, int(min([float(_allowed()), *_quotas(root)])))


def _allowed() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quota, in processors, of each control group that has one and that this process is in."""
    try:
        groups = list(_groups(root))
    except (OSError, ValueError):
        # No Linux, or one without control groups.
        return
    for folder in groups:
        try:
            if (folder / _QUOTA_2).exists():
                quota, period = (folder / _QUOTA_2).read_text().split()
            else:
                quota, period = ((folder / name).read_text() for name in (_QUOTA_1, _PERIOD_1))
            # "max" in version 2, -1 in version 1.
            if quota != "max" and int(quota) > 0 and int(period) > 0:
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in, up to the topmost that is mounted."""
    paths: dict[str, PurePosixPath] = {}
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = PurePosixPath(group)
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        # https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
        mounted, _, source = line.partition(" - ")
        top, point = mounted.split()[3:5]
        kind, _, options = source.split()[:3]
        # Version 2 has one hierarchy, which is not named.
        controller = "" if kind == "cgroup2" else "cpu"
        if controller not in paths or (kind != "cgroup2" and not (kind == "cgroup" and "cpu" in options.split(","))):
            continue
        path = paths[controller]
        # A container often sees the path as the host has it, but only its own group, mounted as the topmost.
        inside = path.relative_to(top) if path.is_relative_to(top) else PurePosixPath()
        folder = root / point.lstrip("/")
        yield folder
        for part in inside.parts:
            if part not in ("/", ".."):
                folder /= part
                yield folder
