"""The switch: how a face steers a running execution from other threads and signal handlers."""

import queue
import time
from collections.abc import Callable

from everyitem.engine.messages import CancelAsked, Message, PauseAsked, ResumeAsked, StopAsked

_Ask = Callable[[float], Message]


class Switch:
    """Requests to one execution. What is asked before the execution runs is heard when it starts.

    Every method is safe in signal handlers: it takes no lock and never blocks.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._post: Callable[[Message], None] | None = None

    def attach(self, post: Callable[[Message], None]) -> None:
        """From now on requests go to this execution's loop, those made before first."""
        self._post = post
        while True:
            try:
                post(self._asked.get_nowait())
            except queue.Empty:
                return

    def _ask(self, make: _Ask) -> None:
        (self._post or self._asked.put)(make(time.monotonic()))

    def stop(self, reason: str) -> None:
        """Drain, checkpoint and end INTERRUPTED; `reason` is what a person reads ("SIGTERM")."""
        self._ask(lambda at: StopAsked(at, reason))

    def stop_now(self, reason: str = "a second signal") -> None:
        """Interrupt items at once; nothing recorded is lost."""
        self._ask(lambda at: StopAsked(at, reason, at_once=True))

    def pause(self) -> None:
        """Start nothing until `resume`; what runs finishes and is checkpointed."""
        self._ask(PauseAsked)

    def resume(self) -> None:
        """End a pause."""
        self._ask(ResumeAsked)

    def cancel(self) -> None:
        """Drain and end CANCELLED; the execution stays resumable."""
        self._ask(CancelAsked)

    @property
    def was_stopped(self) -> bool:
        """A request waits that nobody has heard yet (an execution that only waits looks at it)."""
        return not self._asked.empty()
