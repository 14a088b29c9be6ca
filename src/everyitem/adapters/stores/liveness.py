"""Which process owns an execution, and whether it is still alive.

A process is known by host, boot, process id and the moment it was started: ids are used again, and a
restarted container often gets the same ones. Only the host that ran a process can tell that it died;
everywhere else its lease has to run out.

Leases are told by the wall clock, which may step. So a lease that seems to have run out, of an owner that is
not known to be dead, is looked at a second time: who lives renews about once a second.
"""

import os
import platform
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

#: Seconds an owner is believed without renewing. The engine renews about once a second. The variable is for
#: tests that cannot wait so long; all processes of a store must agree.
LEASE: Final = float(os.environ.get("EVERYITEM_TEST_LEASE", "15"))
#: Seconds between the two looks at an owner that may merely have a clock that stepped.
SECOND_LOOK: Final = min(2.0, LEASE)
#: Seconds by which clocks of one store may differ.
_SLACK: Final = 1.0


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process of one boot of one host."""

    host: str
    #: Boot id and process namespace: process ids mean something only within both.
    boot: str
    pid: int
    #: When the process was started, in the system's own unit.
    started: str

    def is_alive(self) -> bool | None:
        """Whether the process still exists; None when only its lease can tell."""
        me = this_process()
        if (self.host, self.boot) != (me.host, me.boot) or not self.boot or not self.started:
            # elsewhere, under a name that has changed since, or where the system hides what it would take
            return None
        return _start_of(self.pid) == self.started


class Owner(msgspec.Struct, frozen=True):
    """Who holds an execution, and until when without renewing (epoch seconds)."""

    process: ProcessIdentity
    expires_at: float

    def is_living(self, now: float) -> bool:
        """Whether the execution must be left to this owner.

        A dead process never keeps it, whatever its lease says; a stopped one only as long as its lease. A
        lease that ends later than any could is none: the clock has been set back since.
        """
        return keeps(self.expires_at, now, alive=self.process.is_alive())


def keeps(expires_at: float, now: float, *, alive: bool | None) -> bool:
    """Whether an owner with this lease keeps its execution; `alive` is None when only the lease can tell."""
    return now < expires_at <= now + LEASE + _SLACK and alive is not False


def this_process() -> ProcessIdentity:
    """The identity of the calling process."""
    return _identity(os.getpid())


@cache
def _identity(pid: int) -> ProcessIdentity:
    return ProcessIdentity(platform.node(), _boot(), pid, _start_of(pid) or "")


def _boot() -> str:
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot_id} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        pass
    import psutil

    try:
        return str(int(psutil.boot_time()))
    except (OSError, RuntimeError, psutil.Error):
        # a container that shows nothing of itself: leases have to do
        return ""


def _start_of(pid: int) -> str | None:
    """When the process was started, None when there is no such process (a zombie is none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_without_proc(pid)
    # the command name, in parentheses, may contain anything, parentheses included
    state, *fields = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else fields[18]


def _start_without_proc(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None
