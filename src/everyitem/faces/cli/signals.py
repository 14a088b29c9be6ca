"""Signals, set here and nowhere else, in the main thread only.

The first SIGINT, SIGTERM or SIGHUP drains and checkpoints, the second interrupts the items at once. While
items run the handler does nothing but put a callable into the inbox of `conduct`: `SimpleQueue.put` is safe
inside a handler, a lock would not be. Before and after that a signal simply ends the command.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from everyitem.faces.cli.terminal import note
from everyitem.faces.supervision.stopping import stopping_signals

if TYPE_CHECKING:
    # commands that only look at a store need not load the engine
    from everyitem.faces.api.conduct import Inbox

#: Seconds a person waits at most for the line that says that the stop was heard.
_ANSWERED_WITHIN = 5.0


class Stoppable(Protocol):
    """What signals stop: a switch, or a member with all its switches."""

    def stop(self, reason: str) -> None:
        """Drain, checkpoint and end."""

    def stop_now(self) -> None:
        """Interrupt items at once."""

    def reached(self, seconds: float) -> bool:
        """Wait until what runs has acted on it, at most so long."""


class SignalInbox:
    """What the first signal was, and where `conduct` hears of signals."""

    def __init__(self, switch: Stoppable, requests: "Inbox") -> None:
        self.requests = requests
        self.first: signal.Signals | None = None
        self._switch = switch

    @property
    def name(self) -> str:
        """What stopped the command."""
        return self.first.name if self.first else "a stop"

    @property
    def exit_code(self) -> int:
        """130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP (128 + the signal's number)."""
        return 128 + (self.first or signal.SIGINT)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """The handler: note which signal it was and pass the reaction on, or raise `KeyboardInterrupt`."""
        is_first = self.first is None
        if number == signal.SIGHUP and not is_first:
            return  # a terminal that closes may say so twice, and nobody is in a hurry
        if is_first:
            self.first = signal.Signals(number)
        if not self.requests.attended:
            raise KeyboardInterrupt
        if is_first:
            self.requests.put(self._drain)
        else:
            self.requests.put(self._stop_now)

    def _drain(self) -> None:
        assert self.first is not None
        # first the deed: who reads the line may rely on it that nothing more is begun
        self._switch.stop(self.first.name)
        self._switch.reached(_ANSWERED_WITHIN)
        note(
            f"{self.first.name}: finishing items in flight and writing a checkpoint; once more stops at once"
        )

    def _stop_now(self) -> None:
        self._switch.stop_now()
        note("stopping at once; everything recorded stays recorded")


def raise_on_signals() -> None:
    """SIGINT raises `KeyboardInterrupt`, SIGTERM `SystemExit`: what is half written is tidied away."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, _frame: FrameType | None) -> None:
    note(f"everyitem: stopped by {signal.Signals(number).name}")
    raise SystemExit(128 + number)


@contextmanager
def listening(switch: Stoppable, requests: "Inbox") -> Iterator[SignalInbox]:
    """Handle the signals that stop a command while inside; the former handlers come back afterwards."""
    inbox = SignalInbox(switch, requests)
    former = {number: signal.signal(number, inbox.receive) for number in stopping_signals()}
    try:
        yield inbox
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
