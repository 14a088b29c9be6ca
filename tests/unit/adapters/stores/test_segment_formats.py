"""Segments of earlier versions are read for good."""

import msgspec

from everyitem.adapters.stores import frames
from everyitem.adapters.stores.segments import digest_of, open_draft, seal, told_by
from everyitem.ports.checkpoint import SegmentDraft

CHAIN = b"chain"
#: A failure as it was written before attempts were excused: thirteen fields.
BEFORE_EXCUSES = [3, 1, "ITEM_ERROR", "ValueError", "bad", 20, [], False, None, False, True, True, None]


def test_a_segment_from_before_attempts_were_excused_is_read() -> None:
    """Nothing in it is excused, and its digest is what it was."""
    body = {"successes": [], "failures": [BEFORE_EXCUSES], "logs": [], "settlements": [], "totals": {}}
    packed = frames.pack(frames.FrameKind.SEGMENT, msgspec.msgpack.encode(body))
    draft = msgspec.msgpack.decode(msgspec.msgpack.encode(body), type=SegmentDraft)
    new = seal(draft, chain=CHAIN, sequence=1, round_=1, created_at=0.0, previous=b"")
    old = msgspec.structs.replace(new, body=packed)
    old = msgspec.structs.replace(old, digest=digest_of(old, CHAIN))
    (failure,) = open_draft(old, CHAIN).failures
    assert (failure.index, failure.final, failure.innate, failure.excused) == (3, True, True, False)
    assert open_draft(old, CHAIN).excuses == []
    assert told_by(open_draft(old, CHAIN), old) == msgspec.structs.replace(old, body=b"")
