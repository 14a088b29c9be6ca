"""Sets of item indices as small MessagePack blobs: what a segment or a round holds, without its body."""

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from everyitem.model.errors import StoreDamaged

#: (first index, count)
IndexRange = tuple[int, int]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


def merge(ranges: Iterable[IndexRange]) -> list[IndexRange]:
    """The same indices in ascending ranges, neighbours joined."""
    merged: list[IndexRange] = []
    end = -1
    for one in sorted(ranges):
        first, count = one
        if first == end:
            begin, before = merged[-1]
            merged[-1] = (begin, before + count)
            end += count
        else:
            # items that failed once stand alone, thousands of them: most pairs stay as they are
            merged.append(one)
            end = first + count
    return merged


def pack_ranges(ranges: Iterable[IndexRange]) -> bytes:
    """Ranges, merged, as one flat list: first, count, first, count, ..."""
    return _encode(list(chain.from_iterable(merge(ranges))))


def unpack_ranges(blob: bytes) -> list[IndexRange]:
    """The ranges `pack_ranges` was given. Raises `StoreDamaged` for anything else."""
    numbers = _unpack(blob)
    if len(numbers) % 2:
        raise StoreDamaged("a list of index ranges has an odd length")
    pairs = iter(numbers)
    return list(zip(pairs, pairs, strict=True))


def pack_indices(indices: Iterable[int]) -> bytes:
    """Single indices, ascending, each once."""
    return _encode(sorted(set(indices)))


def unpack_indices(blob: bytes) -> list[int]:
    """The indices `pack_indices` was given. Raises `StoreDamaged` for anything else."""
    return _unpack(blob)


def each_index(ranges: Iterable[IndexRange]) -> Iterator[int]:
    """Every index of the ranges."""
    for first, count in ranges:
        yield from range(first, first + count)


def _unpack(blob: bytes) -> list[int]:
    try:
        return _decode(blob)
    except msgspec.DecodeError as error:
        raise StoreDamaged(f"a list of item indices cannot be read: {error}") from error
