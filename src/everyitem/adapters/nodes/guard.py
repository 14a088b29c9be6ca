"""The coordinator's end of the guard, which kills all worker processes should the coordinator vanish.

One guard serves all process nodes of a coordinator process. It is started with the first worker and ends
with the coordinator.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

_SCRIPT = Path(__file__).with_name("guard_process.py")


class Guard:
    """Process groups that must not outlive this process."""

    def __init__(self) -> None:
        #: Guards the fields below: process nodes of several batches may start workers side by side.
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        #: By group: what marks its processes in their environment.
        self._groups: dict[int, str] = {}

    def watch(self, group: int, mark: str = "") -> None:
        """Kill this process group when the coordinator is gone.

        With it, or when it is released, go all processes that have left it but carry `mark`, a variable
        `NAME=value`, in their environment.
        """
        with self._lock:
            self._forget_parent()
            self._groups[group] = mark
            self._tell(_line(group, mark))

    def release(self, group: int) -> None:
        """The process group is gone; its number may soon belong to somebody else."""
        with self._lock:
            self._groups.pop(group, None)
            if self._process is not None:
                with contextlib.suppress(OSError):  # no guard to be had now: the next `watch` needs one
                    self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guard process; whatever it still watches is killed."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            _end(process)

    def _forget_parent(self) -> None:
        """After a fork the guard on record watches over the parent, not over us."""
        if self._owner != os.getpid():
            self._owner, self._process = os.getpid(), None
            self._groups.clear()

    def _tell(self, line: str) -> None:
        if self._process is None:
            self._start()
            return
        try:
            _write(self._process, line)
        except BrokenPipeError:  # somebody killed the guard: a new one takes over the whole list
            _end(self._process)
            self._process = None
            self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        _write(self._process, "".join(_line(*watched) for watched in self._groups.items()))


def _line(group: int, mark: str) -> str:
    return f"+{group} {mark}\n"


def _write(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text.encode())


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.wait()


#: The guard of this process.
GUARD = Guard()
atexit.register(GUARD.close)
