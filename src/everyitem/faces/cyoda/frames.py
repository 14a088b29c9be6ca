"""What member and stream process say to each other: MessagePack frames with their length, on a socket pair.

The stream process has the connection and the token, the member has the batches. Neither ever waits for the
other to answer a probe.
"""

import socket
import struct
from asyncio import IncompleteReadError, StreamReader
from typing import Any, Final

import msgspec

from everyitem.faces.cyoda.messages import Message, Request
from everyitem.settings.credentials import Credentials

_LENGTH: Final = struct.Struct("<I")


class Connect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first frame: where to connect, and as whom. The only place a secret travels."""

    endpoints: tuple[str, ...]
    tag: str
    processors: tuple[str, ...]
    tls: bool
    #: PEM text of the authorities to trust; None means the system's.
    authorities: bytes | None = None
    credentials: Credentials | None = None
    silence: float = 45.0
    longest_wait: float = 30.0


class Answer(msgspec.Struct, frozen=True, tag=True):
    """Send this on a stream; dropped where the stream is gone, for nobody waits on another one."""

    stream: int
    message: Message


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Send what is under way, then close every stream and end."""


class Joined(msgspec.Struct, frozen=True, tag=True):
    """A stream is up."""

    stream: int
    endpoint: str
    member_id: str
    tenant: str


class Lost(msgspec.Struct, frozen=True, tag=True):
    """A stream is gone, and with it everybody who waited on it."""

    stream: int
    endpoint: str
    reason: str


class Asked(msgspec.Struct, frozen=True, tag=True):
    """A request came; exactly one answer is owed to it as long as its stream lives."""

    stream: int
    request: Request


class Warned(msgspec.Struct, frozen=True, tag=True):
    """Something worth a line in the log."""

    text: str


ToStream = Connect | Answer | Finish
FromStream = Joined | Lost | Asked | Warned

_encode = msgspec.msgpack.Encoder().encode
read_to_stream = msgspec.msgpack.Decoder(ToStream).decode
read_from_stream = msgspec.msgpack.Decoder(FromStream).decode


def frame(value: ToStream | FromStream) -> bytes:
    """One value as it goes over the socket."""
    body = _encode(value)
    return _LENGTH.pack(len(body)) + body


async def next_frame(reader: StreamReader) -> bytes | None:
    """The next frame's body; None when the other side is gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (IncompleteReadError, OSError):
        return None


def receive_frame(connection: socket.socket) -> bytes | None:
    """The same from a blocking socket."""
    head = _receive(connection, _LENGTH.size)
    return None if head is None else _receive(connection, _LENGTH.unpack(head)[0])


def _receive(connection: socket.socket, count: int) -> Any:
    buffer = bytearray(count)
    view, filled = memoryview(buffer), 0
    while filled < count:
        try:
            read = connection.recv_into(view[filled:])
        except OSError:
            return None
        if not read:
            return None
        filled += read
    return bytes(buffer)
