"""Sets of item indices as small MessagePack blobs: what a segment or a round holds, without its body."""

from collections.abc import Iterable, Iterator

import msgspec

from everyitem.model.errors import StoreDamaged

#: (first index, count)
IndexRange = tuple[int, int]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


def merge(ranges: Iterable[IndexRange]) -> list[IndexRange]:
    """The same indices in ascending ranges, neighbours joined."""
    merged: list[IndexRange] = []
    for first, count in sorted(ranges):
        if merged and merged[-1][0] + merged[-1][1] == first:
            merged[-1] = (merged[-1][0], merged[-1][1] + count)
        else:
            merged.append((first, count))
    return merged


def pack_ranges(ranges: Iterable[IndexRange]) -> bytes:
    """Ranges, merged, as one flat list: first, count, first, count, ..."""
    return _encode([number for pair in merge(ranges) for number in pair])


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
