"""What this machine grants us: memory, within the control groups (v2 or v1) this process is in."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


@functools.cache
def memory_groups(root: Path = _GROUPS, own: Path = _OWN) -> tuple[Path, ...]:
    """The folders of our control groups that know about memory, our own first; empty without any.

    In a container the path `own` names may lie outside of what is mounted: then the root is ours.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return ()
    found: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "memory" if controllers else root
        folder = base / path.lstrip("/")
        found += [one for one in (folder, *folder.parents) if one.is_relative_to(base) and one.is_dir()]
    return tuple(found)


def granted_cores(root: Path = _GROUPS, own: Path = _OWN) -> float:
    """Cores this process and its children may use together at most, by affinity and control groups."""
    least = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        folder = base / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(base) and (quota := _quota(group)) is not None:
                least = min(least, quota)
    return least


def _quota(group: Path) -> float | None:
    """Cores the members of a control group may use (v2 or v1); None without a limit."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = int((group / "cpu.cfs_quota_us").read_text())
        return None if limit <= 0 else limit / int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None


def granted_memory(groups: Sequence[Path] | None = None) -> int:
    """Bytes of memory this process and its children may use together at most; 0 where nobody says."""
    try:
        least = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
    for group in memory_groups() if groups is None else groups:
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                least = min(least, int((group / name).read_text()))
            except (OSError, ValueError):  # not there, or "max"
                continue
    return least
