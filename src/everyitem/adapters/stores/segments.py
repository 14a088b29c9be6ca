"""Segments: drafts become sealed records of a chain, and sealed records prove themselves.

A segment's digest is the SHA-256 over the execution's chain id, every column, the digest of the segment
before it, and the body. So a record cannot be changed, moved to another place or spliced in from another
execution without being found, and which items it holds can be trusted without decoding its body.
"""

import hashlib
from typing import Any

import msgspec

from everyitem.adapters.stores import frames
from everyitem.adapters.stores.index_sets import pack_indices, pack_ranges
from everyitem.model.errors import StoreDamaged
from everyitem.ports.checkpoint import SegmentDraft, SegmentHeader

_encode = msgspec.msgpack.Encoder().encode
_decode_draft = msgspec.msgpack.Decoder(SegmentDraft).decode


class StoredSegment(msgspec.Struct, frozen=True, gc=False):
    """One segment as it stands in a store; the fields are the columns, in their order."""

    sequence: int
    round: int
    created_at: float
    succeeded: int
    failed: int
    #: Ranges of items whose success is recorded here (`index_sets.pack_ranges`).
    succeeded_ranges: bytes
    #: Items whose final failure is recorded here (`index_sets.pack_indices`).
    failed_items: bytes
    #: Items of which only a failed attempt or a log record stands here.
    touched_items: bytes
    digest: bytes
    previous: bytes
    #: Empty where only the other columns were read.
    body: bytes = b""

    @property
    def name(self) -> str:
        """How people are told about this record."""
        return f"segment {self.sequence}"


def seal(
    draft: SegmentDraft, *, chain: bytes, sequence: int, round_: int, created_at: float, previous: bytes
) -> StoredSegment:
    """Make a draft the next record of a chain."""
    segment = StoredSegment(
        sequence=sequence,
        round=round_,
        created_at=created_at,
        **_counted(draft),
        digest=b"",
        previous=previous,
        body=frames.pack(frames.FrameKind.SEGMENT, _encode(draft)),
    )
    return msgspec.structs.replace(segment, digest=digest_of(segment, chain))


def told_by(draft: SegmentDraft, segment: StoredSegment) -> StoredSegment:
    """The segment with its columns derived again from what its body holds, and without the body."""
    return msgspec.structs.replace(segment, **_counted(draft), body=b"")


def _counted(draft: SegmentDraft) -> dict[str, Any]:
    """The columns that tell what a draft holds."""
    failed = {failure.index for failure in draft.failures if failure.final}
    touched = {failure.index for failure in draft.failures if not failure.final}
    if draft.logs:
        touched.update(record[0] for record in draft.logs)
    touched.update(excuse.index for excuse in draft.excuses)
    if draft.settlements:
        touched.update(settlement.index for settlement in draft.settlements)
    return {
        "succeeded": draft.succeeded,
        "failed": len(failed),
        "succeeded_ranges": pack_ranges(part for run in draft.successes for part in run.ranges),
        "failed_items": pack_indices(failed),
        "touched_items": pack_indices(touched),
    }


def digest_of(segment: StoredSegment, chain: bytes) -> bytes:
    """What the segment's digest must be."""
    columns = (
        chain,
        segment.sequence,
        segment.round,
        segment.created_at,
        segment.succeeded,
        segment.failed,
        segment.succeeded_ranges,
        segment.failed_items,
        segment.touched_items,
        segment.previous,
    )
    digest = hashlib.sha256(_encode(columns))
    digest.update(segment.body)
    return digest.digest()


def is_sound(segment: StoredSegment, chain: bytes) -> bool:
    """Whether the segment is, byte for byte, what was once sealed at this place of this chain."""
    try:
        return digest_of(segment, chain) == segment.digest
    except TypeError:
        # a damaged record head can give a column another type altogether
        return False


def open_draft(segment: StoredSegment, chain: bytes) -> SegmentDraft:
    """What was sealed. Raises `StoreDamaged` naming the segment when it is not that any more."""
    if not is_sound(segment, chain):
        raise StoreDamaged(damage_of(segment.sequence))
    try:
        return _decode_draft(frames.unpack(frames.FrameKind.SEGMENT, segment.body))
    except msgspec.DecodeError as error:
        raise StoreDamaged(f"{segment.name} cannot be decoded: {error}") from error


def damage_of(sequence: int, what: str = "does not match its digest") -> str:
    """What to tell about a segment that cannot be believed, and what to do."""
    return (
        f"segment {sequence} {what}; restore the store from a copy, "
        "or resume with --accept-damage to run its items again"
    )


def header_of(segment: StoredSegment, size: int) -> SegmentHeader:
    """The segment as `checkpoints` lists it; `size` is the length of the body in bytes."""
    return SegmentHeader(
        sequence=segment.sequence,
        round=segment.round,
        created_at=segment.created_at,
        succeeded=segment.succeeded,
        failed=segment.failed,
        digest=segment.digest.hex(),
        previous=segment.previous.hex(),
        size=size,
    )
