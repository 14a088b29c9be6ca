"""Worker processes that get nowhere: when one that is stopped, or takes too long to start, is replaced.

Pure: what is seen goes in, the reason to replace the worker comes out. Looks are counted, not timed: after a
stop of the coordinator itself nobody is late.

A process that is stopped is known for certain, because the kernel says so. One that hangs in an import or in
`setup` looks like one that waits for something, so nothing but time tells them apart, and how much of it
there is belongs to the operator.
"""

from typing import Final

#: Seconds between two looks.
LOOK: Final = 1.0
#: Looks in a row after which a stopped process is not waited for any longer.
STOPPED: Final = 10


class Vigil:
    """Watches one worker process for its whole life."""

    def __init__(self, start_timeout: float) -> None:
        """`start_timeout` are the seconds it may take until it is ready."""
        self._start_timeout = start_timeout
        self._starting = self._stopped = 0

    def look(self, *, is_starting: bool, is_stopped: bool) -> str:
        """Look once more; says why the worker is to be replaced, or nothing."""
        self._stopped = self._stopped + 1 if is_stopped else 0
        if self._stopped >= STOPPED:
            return f"the worker process was stopped (SIGSTOP) for {STOPPED * LOOK:g} s and was killed"
        if not is_starting:
            return ""
        self._starting += 1
        if self._starting * LOOK < self._start_timeout:
            return ""
        return (
            f"importing the item processor and its setup took longer than {self._start_timeout:g} s "
            "(workerStartSeconds); the worker process was killed"
        )
