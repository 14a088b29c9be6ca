"""The supervised process's end: it hears that it is supervised, and says what its supervisor must know.

It says a line when it is up, when it carries out an execution, when a checkpoint was written, and which exit
code it is about to end with. An end without that last line is a crash, whatever the exit code says: an item
may have called `os._exit(0)`.
"""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

#: Set by the supervisor: descriptor of the pipe, its process id, and what to go on with; to a process in
#: reserve `@` and the descriptor from which it hears that.
VARIABLE: Final = "EVERYITEM_SUPERVISED"

_IN_RESERVE: Final = "@"
#: `prctl` option: the signal this process gets when its parent dies.
_PR_SET_PDEATHSIG: Final = 1
#: Seconds between two looks at the parent where the kernel does not tell.
_LOOK: Final = 1.0


class Recovery(NamedTuple):
    """The execution a crashed predecessor was carrying out."""

    batch_id: str
    execution: int


class Link:
    """To the supervisor. A process that has none says everything to nobody."""

    def __init__(self, descriptor: int | None = None, recovery: Recovery | None = None) -> None:
        self._descriptor = descriptor
        #: What to go on with instead of what the command line asks for; None in the first process.
        self.recovery = recovery
        self._begun: Recovery | None = None
        self._has_progressed = False

    @property
    def is_there(self) -> bool:
        """Whether a supervisor has started this process."""
        return self._descriptor is not None

    def is_up(self) -> None:
        """The process has come so far that only a crash can end it without `ends`."""
        self._say("up")

    def carries_out(self, batch_id: str, execution: int) -> None:
        """From now on a successor goes on with this execution. Safe to repeat."""
        begun = Recovery(batch_id, execution)
        if begun != self._begun:
            self._begun = begun
            self._say(f"begun {execution} {batch_id.encode().hex()}")

    def progressed(self) -> None:
        """Something is on disk that no crash can take back. Safe to repeat."""
        if not self._has_progressed:
            self._has_progressed = True
            self._say("progressed")

    def ends(self, code: int) -> None:
        """The process is about to end in good order with this exit code."""
        self._say(f"ends {code}")

    def _say(self, line: str) -> None:
        if self._descriptor is not None:
            # no supervisor, no need to tell it; and it must never hold up its child
            with suppress(OSError):
                os.write(self._descriptor, f"{line}\n".encode())


#: Of this process; replaced by `accept`.
_link = Link()


def link() -> Link:
    """This process's link."""
    return _link


def accept(get_ready: Callable[[], None] = lambda: None) -> None:
    """Become a supervised process if a supervisor has started this one: it must not outlive it.

    One in reserve gets ready and waits here until it is needed; it ends here when nobody needs it any more.
    The variable is taken away, so that programs the user's code starts do not feel supervised.
    """
    global _link
    told = os.environ.pop(VARIABLE, "")
    parent = _parent_named_in(told)
    if parent is None:
        return
    descriptor, _, *rest = told.split(" ")
    if parent != os.getppid():
        if _is_pipe(int(descriptor)):
            # the supervisor died before we were up
            os.kill(os.getpid(), signal.SIGKILL)
        return
    os.set_inheritable(int(descriptor), False)
    os.set_blocking(int(descriptor), False)
    _die_with(parent)
    if rest and rest[0].startswith(_IN_RESERVE):
        get_ready()
        rest = _wait_until_needed(int(rest[0].removeprefix(_IN_RESERVE)))
    _link = Link(int(descriptor), _recovery(rest))
    _link.is_up()


def told(descriptor: int, recovery: Recovery | None, *, orders: int | None = None) -> str:
    """The variable's value for a child of this process; `orders` is for one in reserve."""
    if orders is not None:
        return f"{descriptor} {os.getpid()} {_IN_RESERVE}{orders}"
    return f"{descriptor} {os.getpid()} {order(recovery)}".rstrip()


def order(recovery: Recovery | None) -> str:
    """What a process in reserve goes on with, as a line it hears."""
    return f"{recovery.execution} {recovery.batch_id.encode().hex()}" if recovery else ""


def _wait_until_needed(orders: int) -> list[str]:
    with open(orders, "rb") as line:
        words = line.readline().decode().split()
    if not words:
        os._exit(0)
    return words


def _recovery(words: list[str]) -> Recovery | None:
    return Recovery(bytes.fromhex(words[1]).decode(), int(words[0])) if words else None


def _parent_named_in(value: str) -> int | None:
    words = value.split(" ")
    return int(words[1]) if len(words) >= 2 and all(word.isdecimal() for word in words[:2]) else None


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _die_with(parent: int) -> None:
    """Be killed when the supervisor dies, however it does."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), name="everyitem-parent", daemon=True).start()
    if os.getppid() != parent:
        # it died before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGKILL)
