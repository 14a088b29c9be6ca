"""The switch: how a face steers a running execution from other threads and signal handlers."""

import math
import queue
import threading
import time
from collections.abc import Callable

from everyitem.engine.messages import CancelAsked, PauseAsked, ResumeAsked, StopAsked

Request = StopAsked | PauseAsked | ResumeAsked | CancelAsked


class Switch:
    """Requests to one execution. What is asked before the execution runs is heard when it starts.

    What asks is safe in signal handlers: it takes no lock and never blocks.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._post: Callable[[Request], None] | None = None
        #: When (monotonic) an end was asked for, and when one at once.
        self._ending_since = self._at_once_since = math.inf
        self._reached = threading.Event()

    def attach(self, post: Callable[[Request], None]) -> None:
        """From now on requests go to this execution's loop, those made before first."""
        self._reached.clear()
        self._post = post
        self._hand_over()

    def detach(self) -> None:
        """The execution has ended; what is asked from now on is for the next one."""
        self._post = None
        self._reached.set()

    def reach(self) -> None:
        """The execution has acted on a request: its nodes know of it."""
        self._reached.set()

    def reached(self, seconds: float) -> bool:
        """Wait until the running execution has acted on a request, at most so long; True when none runs.

        Not for signal handlers. After a stop that was reached no slot takes up an item it has not begun with.
        """
        return self._post is None or self._reached.wait(seconds)

    def take(self) -> Request | None:
        """A request nobody has heard yet, for who waits without running anything."""
        try:
            return self._asked.get_nowait()
        except queue.Empty:
            return None

    def ends_by(self, drain: float) -> float:
        """When (monotonic) whoever waits for something must have ended; infinite until an end is asked for.

        That is `drain` seconds after a stop or a cancellation, and at once where that was asked for.
        """
        return min(self._ending_since + drain, self._at_once_since)

    def _ask(self, request: Request) -> None:
        match request:
            case StopAsked(at=at, at_once=True):
                self._at_once_since = min(self._at_once_since, at)
            case StopAsked(at=at) | CancelAsked(at=at):
                self._ending_since = min(self._ending_since, at)
        # first kept, then handed over: one made while `attach` runs is heard by one of the two
        self._asked.put(request)
        self._hand_over()

    def _hand_over(self) -> None:
        while (post := self._post) is not None and (request := self.take()) is not None:
            post(request)

    def stop(self, reason: str) -> None:
        """Drain, checkpoint and end INTERRUPTED; `reason` is what a person reads ("SIGTERM")."""
        self._ask(StopAsked(time.monotonic(), reason))

    def stop_now(self, reason: str = "a second signal") -> None:
        """Interrupt items at once; nothing recorded is lost."""
        self._ask(StopAsked(time.monotonic(), reason, at_once=True))

    def pause(self) -> None:
        """Start nothing until `resume`; what runs finishes and is checkpointed."""
        self._ask(PauseAsked(time.monotonic()))

    def resume(self) -> None:
        """End a pause."""
        self._ask(ResumeAsked(time.monotonic()))

    def cancel(self) -> None:
        """Drain and end CANCELLED; the execution stays resumable."""
        self._ask(CancelAsked(time.monotonic()))
