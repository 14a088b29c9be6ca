"""What the coordinator and a worker process say to each other over their socket.

A frame is the length of its body (4 bytes, big-endian) and the body, one MessagePack message. Outcomes do
not travel here but through the ring (`work/ring.py`), except those too large for it.
"""

import struct
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

from everyitem.work.assignment import Assignment

_LENGTH: Final = struct.Struct("!I")

Message = TypeVar("Message")


class Begin(msgspec.Struct, tag=0, array_like=True, frozen=True, gc=False):
    """To the worker, first of all: load the item processor and run its `setup`."""

    assignment: Assignment


class RunSlice(msgspec.Struct, tag=1, array_like=True, frozen=True, gc=False):
    """To the worker: work on these items.

    `ranges` are (first index, count); `stretches` are JSON arrays of at most `stretch.MAX_ITEMS` items.
    """

    lease_id: int
    ranges: list[tuple[int, int]]
    attempt: int
    budget: float
    until_failure: bool
    stretches: list[bytes]


class Emptied(msgspec.Struct, tag=2, array_like=True, frozen=True, gc=False):
    """To the worker: the ring is empty, begin at its start."""


class Leave(msgspec.Struct, tag=3, array_like=True, frozen=True, gc=False):
    """To the worker: run `teardown` and end."""


ToWorker = Begin | RunSlice | Emptied | Leave


class Ready(msgspec.Struct, tag=0, array_like=True, frozen=True, gc=False):
    """From the worker: the item processor is loaded and set up."""


class CannotStart(msgspec.Struct, tag=1, array_like=True, frozen=True, gc=False):
    """From the worker: loading or setting up the item processor failed; the worker ends."""

    reason: str


class SliceDone(msgspec.Struct, tag=2, array_like=True, frozen=True, gc=False):
    """From the worker: the slice is over; its outcomes are in the ring."""

    lease_id: int


class RingFull(msgspec.Struct, tag=3, array_like=True, frozen=True, gc=False):
    """From the worker: it waits for `Emptied`."""


class LargeOutcome(msgspec.Struct, tag=4, array_like=True, frozen=True, gc=False):
    """From the worker: the text of an outcome that no ring could hold."""

    position: int
    text: bytes


class Logged(msgspec.Struct, tag=5, array_like=True, frozen=True, gc=False):
    """From the worker: log records of items, (index, attempt, level name, text)."""

    records: list[tuple[int, int, str, str]]


FromWorker = Ready | CannotStart | SliceDone | RingFull | LargeOutcome | Logged

_encode = msgspec.msgpack.Encoder().encode
decode_to_worker: Callable[[memoryview], ToWorker] = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker: Callable[[memoryview], FromWorker] = msgspec.msgpack.Decoder(FromWorker).decode


def frame(message: ToWorker | FromWorker) -> bytes:
    """The message as it goes over the socket."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


class Frames(Generic[Message]):
    """Cuts a stream of bytes into messages."""

    def __init__(self, decode: Callable[[memoryview], Message]) -> None:
        self._decode = decode
        self._buffer = bytearray()
        #: Bytes the buffer must hold before the next step: a length, then that and a body.
        self._wanted = _LENGTH.size

    def feed(self, data: bytes) -> list[Message]:
        """Add what was read; returns the messages that are complete now."""
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        position = 0
        while len(buffer) - position >= self._wanted:
            if self._wanted == _LENGTH.size:
                self._wanted += _LENGTH.unpack_from(buffer, position)[0]
                continue
            # no copy of the body: it may be a result of hundreds of megabytes
            with memoryview(buffer)[position + _LENGTH.size : position + self._wanted] as body:
                messages.append(self._decode(body))
            position += self._wanted
            self._wanted = _LENGTH.size
        del buffer[:position]
        return messages
