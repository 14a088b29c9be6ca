"""What others send through a broker: messages that are handed out again until they are taken."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A message, and by what the broker knows it."""

    body: bytes
    token: Any


class BrokerAway(Exception):
    """The broker does not answer; nothing was taken."""


class Subscription(Protocol):
    """Messages of one topic, shared with whoever else listens for this store. Used from one thread."""

    def receive(self, seconds: float) -> Sequence[Message]:
        """Messages nobody has taken yet, after at most so long; none of them is gone before `take`.

        Raises `BrokerAway`.
        """
        ...

    def take(self, message: Message) -> None:
        """It need not be handed out again. Raises `BrokerAway`; then it may be, once more."""
        ...

    def close(self) -> None:
        """Free the connection; what was received and not taken goes to others."""
        ...
