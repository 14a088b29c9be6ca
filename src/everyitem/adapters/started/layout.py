"""What stands where in a started-items file. Pure: bytes in, meaning out.

::

    magic and version | length of the header | SHA-256 of the header | header (MessagePack)
    up to the next page | flags | one byte per suspect | cell | cell | ...

The header is written once, before the file gets its name. What follows changes while the run lives, through
a shared mapping, and may grow by further cells. A cell holds what one worker has started: a head of eight
bytes (CRC-32, kind and count) and indices behind it. The head is taken away before the indices change and put
back afterwards, so a process that dies in between has started nothing, and a cell that a power cut has torn
does not match its CRC.
"""

import hashlib
import struct
import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from everyitem.ports.started import Suspect

_MAGIC: Final = b"everyitem-started\x00\x00\x00\x01\x00\x00\x00"  # the 1 is the version
_PREFIX: Final = struct.Struct("<24sQ32s")
_PAGE: Final = 4096
#: Largest file that is read. Cells take half of it at most, however many workers there are.
MOST_BYTES: Final = 256 << 20

#: Offsets within the area behind the header: a flag, and a byte for each suspect, set when it was survived.
EXCUSED: Final = 0
SURVIVED: Final = 64

_HEAD: Final = struct.Struct("<II")
HEAD_SIZE: Final = _HEAD.size
NOTHING: Final = bytes(HEAD_SIZE)
_COUNT: Final = 0x00FFFFFF
_RUN: Final = 1 << 24
_LIST: Final = 2 << 24
_index = struct.Struct("<q")


def cell_capacity(cells: int, wanted: int) -> int:
    """How many indices each of `cells` cells lists, of the `wanted` ones: as many as a file has room for.

    At least two: of a list that had to be cut, what is left must not look like an item that ran alone.
    """
    room = MOST_BYTES // 2 // max(1, cells) - HEAD_SIZE
    return min(wanted, max(2, room // _index.size))


class Unreadable(ValueError):
    """The file is not what a run of this execution has left."""


class Header(msgspec.Struct, frozen=True):
    """What a run writes once."""

    #: Digest of what the execution is; numbers of executions are used again when a store is made anew.
    identity: str
    token: int
    item_count: int
    #: The boot of the machine: who is gone since the last one was not ended by an item.
    boot: str
    suspects: list[Suspect]
    #: How many of them this run lets run at the same time.
    together: int
    #: At least so many; more were appended where nodes came or grew.
    cells: int
    #: Most indices a cell can list.
    capacity: int

    @property
    def cell_size(self) -> int:
        """Bytes of one cell."""
        return HEAD_SIZE + _index.size * self.capacity

    @property
    def cells_at(self) -> int:
        """Where the first cell begins, behind the header."""
        return SURVIVED + -(-len(self.suspects) // 8) * 8

    @property
    def area_size(self) -> int:
        """Bytes of everything that changes."""
        return self.cells_at + self.cells * self.cell_size


def pack_header(header: Header) -> bytes:
    """The unchanging part of the file, up to where flags and cells begin."""
    body = msgspec.msgpack.encode(header)
    prefix = _PREFIX.pack(_MAGIC, len(body), hashlib.sha256(body).digest())
    return (prefix + body).ljust(_area_of(len(body)), b"\x00")


def unpack_header(content: bytes) -> tuple[Header, int]:
    """The header and where flags and cells begin; raises `Unreadable`."""
    try:
        magic, length, digest = _PREFIX.unpack_from(content)
    except struct.error:
        raise Unreadable("it is too short") from None
    if magic != _MAGIC:
        raise Unreadable("it was written by another version, or is something else")
    body = content[_PREFIX.size : _PREFIX.size + length]
    if hashlib.sha256(body).digest() != digest:
        raise Unreadable("its digest does not match")
    try:
        header = msgspec.msgpack.decode(body, type=Header)
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None
    area = _area_of(length)
    if len(content) < area + header.area_size:
        raise Unreadable("its length is wrong")
    if header.together < 1 or header.capacity < 1:
        raise Unreadable("its figures make no sense")
    if not all(0 <= one.index < header.item_count and one.deaths >= 0 for one in header.suspects):
        raise Unreadable("it names items that do not exist")
    return header, area


def pack_cell(indices: Sequence[int], capacity: int) -> tuple[bytes, bytes]:
    """Head and indices of a cell; of a list too long for it, as many as there is room for.

    Whoever is cut off is met again by the run after the next: each death clears those that were listed.
    """
    if isinstance(indices, range):
        what, values = _RUN | len(indices), _index.pack(indices.start)
    else:
        listed = indices[:capacity]
        what, values = _LIST | len(listed), struct.pack(f"<{len(listed)}q", *listed)
    return _HEAD.pack(zlib.crc32(values, what), what), values


def unpack_cell(cell: bytes, item_count: int) -> Sequence[int]:
    """What a worker had started; raises `Unreadable`."""
    if cell[:HEAD_SIZE] == NOTHING:
        return ()
    crc, what = _HEAD.unpack_from(cell)
    count, is_run = what & _COUNT, what & ~_COUNT == _RUN
    size = _index.size * (1 if is_run else count)
    values = cell[HEAD_SIZE : HEAD_SIZE + size]
    if len(values) != size or zlib.crc32(values, what) != crc:
        raise Unreadable("a cell's checksum does not match")
    numbers = struct.unpack(f"<{size // _index.size}q", values)
    indices = range(numbers[0], numbers[0] + count) if is_run else numbers
    if not indices or min(indices) < 0 or max(indices) >= item_count:
        raise Unreadable("a cell names items that do not exist")
    return indices


def _area_of(body: int) -> int:
    return -(-(_PREFIX.size + body) // _PAGE) * _PAGE
