"""Is this machine fit for batches? One function per question, each answering with what to do."""

import os
import platform
import resource
import sqlite3
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import psutil

from everyitem.faces.api.views import View

_MB = 1 << 20
#: From this version on SQLite has no WAL-reset race (sqlite.org/changes.html, 3.51.3).
_SQLITE_WITHOUT_RACE = (3, 51, 3)
_OLDEST_SQLITE = (3, 35, 0)
_NO_EARLIER_THAN = 1_735_689_600  # 2025-01-01: nothing of this program existed before


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: Worth knowing; nothing to do.
    INFO = "info"
    #: Batches run, but something may go worse than it has to.
    WARNING = "warning"
    #: Batches cannot run, or not safely.
    FAULT = "fault"


class Check(View, frozen=True, kw_only=True):
    """One question answered."""

    name: str
    verdict: Verdict
    #: What was found.
    found: str
    #: What to do; empty when there is nothing to do.
    advice: str = ""


def examine() -> list[Check]:
    """All checks of the machine, in the order one should read them."""
    return [
        check_python(),
        check_sqlite(),
        check_cores(),
        check_memory(),
        check_open_files(),
        check_clock(),
    ]


def check_python() -> Check:
    """The version, and whether its threads can run Python code in parallel."""
    enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    kind = "one thread at a time (GIL)" if enabled() else "free-threaded"
    return ok("Python", f"{platform.python_implementation()} {platform.python_version()}, {kind}")


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Check:
    """The version of the library Python is linked to."""
    found = ".".join(map(str, version))
    if version < _OLDEST_SQLITE:
        return fault(
            "SQLite",
            found,
            "use a Python linked to SQLite 3.35 or newer; everyitem cannot keep its store in this one",
        )
    if version < _SQLITE_WITHOUT_RACE:
        return Check(
            name="SQLite",
            verdict=Verdict.INFO,
            found=f"{found}, which has the WAL-reset race (fixed in 3.51.3)",
            advice="nothing to do: everyitem writes and checkpoints under its own file lock, which keeps it "
            "away; other programs must not write to a store file",
        )
    return ok("SQLite", found)


def check_cores() -> Check:
    """Processors this process may use: affinity and cgroup quota count, not what the machine has."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_cores()
    if quota is not None and quota < usable:
        return Check(
            name="cores",
            verdict=Verdict.OK if quota >= 1 else Verdict.WARNING,
            found=f"{quota:g} of {usable} (limited by the container)",
            advice="" if quota >= 1 else "give the container at least one whole core",
        )
    return ok("cores", f"{usable}")


def check_memory() -> Check:
    """Memory that is available now, within the container's limit."""
    memory = psutil.virtual_memory()
    available, total = memory.available, memory.total
    limit = cgroup_memory()
    if limit is not None and limit[0] < total:
        total, available = limit[0], min(available, limit[0] - limit[1])
    found = f"{available // _MB:,} MB available of {total // _MB:,} MB"
    if available < 256 * _MB:
        return warning(
            "memory",
            found,
            "free memory or lower parallelism; a batch needs about 120 MB and three times its document",
        )
    return ok("memory", found)


def check_open_files() -> Check:
    """The soft limit of open files; every worker process needs a handful."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    if soft != resource.RLIM_INFINITY and soft < 256:
        can = "" if hard == resource.RLIM_INFINITY else f" (up to {hard:,} without root)"
        return warning(
            "open files",
            found,
            f"raise it with `ulimit -n 1024`{can}; a worker process takes about eight",
        )
    return ok("open files", found)


def check_clock() -> Check:
    """Whether the wall clock is plausible and goes the same pace as the monotonic one."""
    wall, steady = time.time(), time.monotonic()
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(wall))
    if wall < _NO_EARLIER_THAN:
        return fault(
            "clock",
            found,
            "set the clock (for example with an NTP service); checkpoints would carry wrong times",
        )
    if steady < 0:
        return fault("clock", found, "the monotonic clock is negative")
    return ok("clock", found)


def cgroup_cores(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores a container may use at once (cgroup v2 or v1); None without a limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        return None if limit <= 0 else limit / int((root / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None


def cgroup_memory(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, int] | None:
    """Limit and use of a container's memory in bytes (cgroup v2 or v1); None without a limit."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return int((root / limit).read_text()), int((root / used).read_text())
        except (OSError, ValueError):
            continue
    return None


def ok(name: str, found: str) -> Check:
    """An answer with nothing to do."""
    return Check(name=name, verdict=Verdict.OK, found=found)


def warning(name: str, found: str, advice: str) -> Check:
    """Batches run, but something may go worse than it has to."""
    return Check(name=name, verdict=Verdict.WARNING, found=found, advice=advice)


def fault(name: str, found: str, advice: str) -> Check:
    """Batches cannot run, or not safely."""
    return Check(name=name, verdict=Verdict.FAULT, found=found, advice=advice)
