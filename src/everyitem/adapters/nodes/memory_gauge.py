"""How much memory processes take, and whether the kernel has killed one for it."""

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from everyitem.settings.machine import memory_groups

_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_PEAK: Final = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_OOM_KILLS: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class MemoryGauge:
    """The resident memory of one process, read again and again."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._fd: int | None = None
        with contextlib.suppress(OSError):  # no /proc: it is asked for by other means
            self._fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        #: Bytes at the last reading, and the most ever seen.
        self.bytes = self.peak = 0

    def read(self) -> int:
        """Bytes resident now; 0 when the process is gone or nobody can say."""
        try:
            if self._fd is not None:
                # kept open: a reading costs 2 us instead of 10
                self.bytes = int(os.pread(self._fd, 64, 0).split()[1]) * _PAGE
            elif sys.platform != "linux":
                self.bytes = _resident_elsewhere(self._pid)
        except (OSError, IndexError):
            self.bytes = 0
        self.peak = max(self.peak, self.bytes)
        return self.bytes

    def read_peak(self) -> int:
        """The most it has ever taken, as exactly as it can be known; costs more than `read`."""
        with contextlib.suppress(OSError):
            if found := _PEAK.search(Path(f"/proc/{self._pid}/status").read_bytes()):
                self.peak = max(self.peak, int(found[1]) * 1024)
        return self.peak

    def close(self) -> None:
        """Free the descriptor."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def resident_memory(pid: int) -> int:
    """Bytes resident in a process, read once; 0 when it is gone or nobody can say."""
    gauge = MemoryGauge(pid)
    try:
        return gauge.read()
    finally:
        gauge.close()


def _resident_elsewhere(pid: int) -> int:
    # not at the top: on Linux /proc is quicker, and nothing else here needs it
    import psutil

    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


class OomKills:
    """Counts what the kernel killed for lack of memory in our control group, or a group above it."""

    def __init__(self, groups: Sequence[Path] | None = None) -> None:
        self._files = [
            group / name
            for group in (memory_groups() if groups is None else groups)
            for name in ("memory.events", "memory.oom_control")
        ]
        self._seen = self._count()

    def has_risen(self) -> bool:
        """Whether there was another one since this was asked the last time."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def _count(self) -> int:
        count = 0
        for file in self._files:
            with contextlib.suppress(OSError):
                if found := _OOM_KILLS.search(file.read_text()):
                    count += int(found[1])
        return count
