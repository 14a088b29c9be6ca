"""The frame around every blob at rest: what it is, how it is packed, and how long it will be unpacked.

    4 bytes   kind            `EISG` a segment's body, `EIIC` an input chunk
    1 byte    format version  1
    1 byte    codec           1 = zlib
    4 bytes   length          of the unpacked payload, big-endian
    rest      packed payload

Integrity is the business of the SHA-256 that stands beside the blob; a frame only refuses what it cannot
unpack, and never unpacks more than the length it declares, which is bounded itself.
"""

import struct
import zlib
from enum import Enum

from everyitem.model.errors import StoreDamaged, StoreError, StoreTooNew

#: Longest unpacked payload, bytes. SQLite holds no blob beyond 10^9 bytes either.
MAX_LENGTH = 1 << 30

_VERSION = 1
_ZLIB = 1
_HEAD = struct.Struct(">4sBBI")


class FrameKind(Enum):
    """What a frame holds; kept in its first four bytes so that one never passes for the other."""

    SEGMENT = b"EISG"
    INPUT_CHUNK = b"EIIC"


def pack(kind: FrameKind, payload: bytes) -> bytes:
    """Frame `payload`. Raises `StoreError` beyond `MAX_LENGTH`."""
    if len(payload) > MAX_LENGTH:
        raise StoreError(
            f"{len(payload)} bytes at once are more than a store takes ({MAX_LENGTH}); "
            "lower checkpointInterval or return smaller results"
        )
    return _HEAD.pack(kind.value, _VERSION, _ZLIB, len(payload)) + zlib.compress(payload, 1)


def unpack(kind: FrameKind, frame: bytes) -> bytes:
    """The payload of `frame`.

    Raises `StoreDamaged` for anything that is not a whole frame of this kind, `StoreTooNew` for a format
    version or codec this everyitem does not know.
    """
    if len(frame) < _HEAD.size:
        raise StoreDamaged(f"a frame of {len(frame)} bytes is shorter than its own head")
    magic, version, codec, length = _HEAD.unpack_from(frame)
    if magic != kind.value:
        raise StoreDamaged(f"expected a frame of kind {kind.name}, found {magic!r}")
    if version != _VERSION or codec != _ZLIB:
        raise StoreTooNew(
            f"frame format {version} with codec {codec} is not known here; use the everyitem that wrote it"
        )
    if length > MAX_LENGTH:
        raise StoreDamaged(f"a frame declares {length} bytes, more than the {MAX_LENGTH} a store takes")
    return _inflate(memoryview(frame)[_HEAD.size :], length)


def _inflate(packed: memoryview, length: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        # one byte more than declared is enough to see that a payload is too long
        payload = inflater.decompress(packed, length + 1)
    except zlib.error as error:
        raise StoreDamaged(f"a frame cannot be unpacked: {error}") from error
    if len(payload) != length or not inflater.eof or inflater.unused_data:
        raise StoreDamaged(f"a frame does not hold the {length} bytes it declares")
    return payload
