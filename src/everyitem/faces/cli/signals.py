"""Signals, set here and nowhere else, in the main thread only.

The first SIGINT or SIGTERM drains and checkpoints, the second interrupts the items at once. Handlers do
nothing but put a callable into the inbox of `conduct`: `SimpleQueue.put` is safe inside a handler, a lock
would not be.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from everyitem.compose import Switch
from everyitem.faces.cli.terminal import note

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class SignalInbox:
    """What the first signal was, and where `conduct` hears of signals."""

    def __init__(self, switch: Switch) -> None:
        self.requests: SimpleQueue[object] = SimpleQueue()
        self.first: signal.Signals | None = None
        self._switch = switch

    @property
    def exit_code(self) -> int:
        """130 after SIGINT, 143 after SIGTERM (128 + the signal's number)."""
        return 128 + (self.first or signal.SIGINT)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """The handler: note which signal it was and pass the reaction on."""
        if self.first is None:
            self.first = signal.Signals(number)
            self.requests.put(self._drain)
        else:
            self.requests.put(self._stop_now)

    def _drain(self) -> None:
        assert self.first is not None
        # first the deed: who reads the line may rely on it
        self._switch.stop(self.first.name)
        note(
            f"{self.first.name}: finishing items in flight and writing a checkpoint; once more stops at once"
        )

    def _stop_now(self) -> None:
        self._switch.stop_now()
        note("stopping at once; everything recorded stays recorded")


@contextmanager
def listening(switch: Switch) -> Iterator[SignalInbox]:
    """Handle SIGINT and SIGTERM while inside; the former handlers come back afterwards."""
    inbox = SignalInbox(switch)
    former = {number: signal.signal(number, inbox.receive) for number in _STOPPING}
    try:
        yield inbox
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
