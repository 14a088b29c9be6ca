"""Rounds after the first, and how rounds and segments make the state of every item.

The latest round counts: opening a round reopens its items; whatever is recorded afterwards is theirs.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from everyitem.adapters.stores.index_sets import each_index, unpack_indices, unpack_ranges
from everyitem.adapters.stores.segments import StoredSegment
from everyitem.model.errors import StoreDamaged

OPEN, SUCCEEDED, FAILED = 0, 1, 2

_encode = msgspec.msgpack.Encoder().encode


class StoredRound(msgspec.Struct, frozen=True, gc=False):
    """One redrive as it stands in a store; the fields are the columns, in their order."""

    round: int
    opened_at: float
    #: The items it reopened (`index_sets.pack_ranges`).
    item_ranges: bytes
    digest: bytes


def seal_round(chain: bytes, round_: int, opened_at: float, item_ranges: bytes) -> StoredRound:
    """A round with its digest."""
    digest = hashlib.sha256(_encode((chain, round_, opened_at, item_ranges))).digest()
    return StoredRound(round_, opened_at, item_ranges, digest)


def is_sound(stored: StoredRound, chain: bytes) -> bool:
    """Whether the round is what was once opened on this execution."""
    return seal_round(chain, stored.round, stored.opened_at, stored.item_ranges) == stored


def timeline(
    rounds: Sequence[StoredRound], segments: Iterable[StoredSegment]
) -> Iterator[StoredRound | StoredSegment]:
    """Rounds and segments in the order they happened."""
    waiting = sorted(rounds, key=lambda one: one.round, reverse=True)
    for segment in segments:
        while waiting and waiting[-1].round <= segment.round:
            yield waiting.pop()
        yield segment
    yield from reversed(waiting)


def replay(item_count: int, rounds: Sequence[StoredRound], segments: Iterable[StoredSegment]) -> bytearray:
    """One byte per item: `OPEN`, `SUCCEEDED` or `FAILED`. Decodes no body.

    Raises `StoreDamaged` for indices beyond the items (with a valid digest only a defect makes these).
    """
    ledger = bytearray(item_count)
    for event in timeline(rounds, segments):
        if isinstance(event, StoredRound):
            for first, count in unpack_ranges(event.item_ranges):
                ledger[first : first + count] = bytes(count)
            continue
        for first, count in unpack_ranges(event.succeeded_ranges):
            ledger[first : first + count] = b"\x01" * count
        for index in unpack_indices(event.failed_items):
            ledger[index : index + 1] = b"\x02"
    if len(ledger) != item_count:
        raise StoreDamaged(f"segments tell of {len(ledger)} items, the batch has {item_count}")
    return ledger


def is_open(ledger: bytearray, index: int) -> bool:
    """Whether the item is one of the batch and has no outcome."""
    return 0 <= index < len(ledger) and ledger[index] == OPEN


def doubles(
    item_count: int, rounds: Sequence[StoredRound], segments: Iterable[StoredSegment]
) -> Iterator[tuple[StoredSegment, int]]:
    """Items that were recorded although they had an outcome in their round, with the segment that did."""
    ledger = bytearray(item_count)
    for event in timeline(rounds, segments):
        if isinstance(event, StoredRound):
            for first, count in unpack_ranges(event.item_ranges):
                ledger[first : first + count] = bytes(count)
            continue
        for index in each_index(unpack_ranges(event.succeeded_ranges)):
            if ledger[index]:
                yield event, index
            ledger[index] = SUCCEEDED
        for index in unpack_indices(event.failed_items):
            if ledger[index]:
                yield event, index
            ledger[index] = FAILED
