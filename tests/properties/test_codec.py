"""What is at rest proves itself: no byte of a segment or chunk changes without being found."""

import pickle
import tracemalloc
import zlib
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.adapters.stores import frames, index_sets
from everyitem.adapters.stores.frames import FrameKind
from everyitem.adapters.stores.input_chunks import open_chunk, seal_chunks
from everyitem.adapters.stores.segments import StoredSegment, digest_of, is_sound, open_draft, seal
from everyitem.model.errors import ErrorCode, StoreDamaged, StoreError
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Failure, Successes
from everyitem.ports.checkpoint import SegmentDraft

CHAIN = b"c" * 32
INDICES = st.sets(st.integers(0, 10_000), max_size=50)


def small_segment(sequence: int = 1) -> StoredSegment:
    """One success, one final failure with a frame, one log record."""
    draft = SegmentDraft(
        [Successes([(0, 2)], 1, [5, 6], b'[{"ok":true},null]')],
        [Failure(3, 1, ErrorCode.ITEM_ERROR, "ValueError", "no", 7, [("p.py", 1, "f")], final=True)],
        [(0, 1, "INFO", "hello")],
    )
    return seal(draft, chain=CHAIN, sequence=sequence, round_=1, created_at=1.5, previous=CHAIN)


def test_a_sealed_segment_opens_as_its_draft() -> None:
    """Sealing and opening loses nothing."""
    draft = open_draft(small_segment(), CHAIN)
    assert draft.successes[0].result_texts() == [b'{"ok":true}', b"null"]
    assert draft.failures[0].frames == [("p.py", 1, "f")]
    assert draft.logs == [(0, 1, "INFO", "hello")]


def test_every_flipped_byte_of_a_segment_is_found() -> None:
    """Each byte of each binary column, changed to every other value of one bit or all bits."""
    segment = small_segment()
    for name in ("succeeded_ranges", "failed_items", "touched_items", "digest", "previous", "body"):
        value = getattr(segment, name)
        for position in range(len(value)):
            for mask in (*(1 << bit for bit in range(8)), 0xFF):
                changed = bytearray(value)
                changed[position] ^= mask
                damaged = msgspec.structs.replace(segment, **{name: bytes(changed)})
                assert not is_sound(damaged, CHAIN)


def test_every_truncation_of_a_segment_is_found() -> None:
    """Each shorter body is damage, said so with the segment's number."""
    segment = small_segment(sequence=7)
    for length in range(len(segment.body)):
        with pytest.raises(StoreDamaged, match="segment 7"):
            open_draft(msgspec.structs.replace(segment, body=segment.body[:length]), CHAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 2},
        {"round": 2},
        {"created_at": 1.25},
        {"succeeded": 3},
        {"failed": 0},
        {"succeeded": "2"},
        {"body": "text"},
    ],
)
def test_a_changed_column_is_found(change: dict[str, object]) -> None:
    """Numbers are covered by the digest like blobs, and so is a column of the wrong type."""
    assert not is_sound(msgspec.structs.replace(small_segment(), **change), CHAIN)


def test_a_segment_of_another_execution_is_found() -> None:
    """The digest covers the chain the segment belongs to."""
    assert not is_sound(small_segment(), b"d" * 32)


@given(st.binary(max_size=2000))
def test_frames_give_back_their_payload(payload: bytes) -> None:
    """Packing and unpacking any payload is the identity."""
    assert frames.unpack(FrameKind.SEGMENT, frames.pack(FrameKind.SEGMENT, payload)) == payload


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_frame_reader(hostile: bytes) -> None:
    """Whatever bytes a frame is made of, the reader answers with a store error or a bounded payload."""
    for head in (b"", b"EISG", b"EISG\x01\x01", b"EISG\x01\x01\x00\x00\x00\x20"):
        try:
            assert len(frames.unpack(FrameKind.SEGMENT, head + hostile)) <= frames.MAX_LENGTH
        except StoreError:
            continue


@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_truncated_frame_is_damage(payload: bytes, data: st.DataObject) -> None:
    """No proper prefix of a frame unpacks."""
    frame = frames.pack(FrameKind.INPUT_CHUNK, payload)
    length = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(StoreError):
        frames.unpack(FrameKind.INPUT_CHUNK, frame[:length])


def test_a_frame_never_passes_for_another_kind() -> None:
    """A chunk put in the place of a segment's body is refused."""
    with pytest.raises(StoreDamaged, match="SEGMENT"):
        frames.unpack(FrameKind.SEGMENT, frames.pack(FrameKind.INPUT_CHUNK, b"x"))


def test_a_decompression_bomb_is_stopped_at_the_length_it_declares() -> None:
    """A frame that declares 1 KB and holds 64 MB costs about 1 KB."""
    honest = frames.pack(FrameKind.SEGMENT, b"x" * 1024)
    bomb = honest[:10] + zlib.compress(bytes(64 << 20), 9)
    tracemalloc.start()
    with pytest.raises(StoreDamaged):
        frames.unpack(FrameKind.SEGMENT, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_a_declared_length_beyond_the_limit_is_refused_before_unpacking() -> None:
    """Nothing is allocated for a frame that asks for 4 GB."""
    frame = frames.pack(FrameKind.SEGMENT, b"")
    with pytest.raises(StoreDamaged, match="more than"):
        frames.unpack(FrameKind.SEGMENT, frame[:6] + b"\xff\xff\xff\xff" + frame[10:])


def test_an_unknown_format_says_that_a_newer_version_wrote_it() -> None:
    """Old readers refuse new formats loudly."""
    frame = frames.pack(FrameKind.SEGMENT, b"x")
    with pytest.raises(StoreError, match="everyitem that wrote it"):
        frames.unpack(FrameKind.SEGMENT, frame[:4] + b"\x02" + frame[5:])


class _Canary:
    """Writes a file when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def hostile_payloads(canary: Path) -> list[bytes]:
    """Payloads that are valid MessagePack or a pickle, and no segment."""
    trap = pickle.dumps(_Canary(canary))
    return [
        trap,
        msgspec.msgpack.encode(msgspec.msgpack.Ext(1, trap)),
        msgspec.msgpack.encode({"successes": [], "failures": [msgspec.msgpack.Ext(4, trap)]}),
        msgspec.msgpack.encode({"successes": trap, "failures": []}),
        b"\x91" * 100_000 + b"\xc0",
        msgspec.msgpack.encode([1, 2, 3]),
        b"",
    ]


def test_smuggled_objects_are_never_built(tmp_path: Path) -> None:
    """Even under a valid digest, a pickle or an extension type is damage, and nothing runs."""
    canary = tmp_path / "canary"
    for payload in hostile_payloads(canary):
        forged = msgspec.structs.replace(
            small_segment(), body=frames.pack(FrameKind.SEGMENT, payload), digest=b""
        )
        forged = msgspec.structs.replace(forged, digest=digest_of(forged, CHAIN))
        with pytest.raises(StoreDamaged):
            open_draft(forged, CHAIN)
    assert not canary.exists()


@given(INDICES)
def test_index_sets_come_back_whole(indices: set[int]) -> None:
    """Packed as single indices or as ranges, a set stays the same set."""
    assert index_sets.unpack_indices(index_sets.pack_indices(indices)) == sorted(indices)
    ranges = index_sets.unpack_ranges(index_sets.pack_ranges((index, 1) for index in indices))
    assert list(index_sets.each_index(ranges)) == sorted(indices)
    assert all(first + count < later for (first, count), (later, _) in pairwise(ranges))


@given(st.lists(st.integers(-1000, 1000), max_size=30))
def test_input_chunks_prove_themselves(numbers: list[int]) -> None:
    """A chunk opens as its text; one changed byte, number or chain is damage."""
    text = msgspec.json.encode(numbers)
    for stored in seal_chunks(InMemoryItems(text, named=False), CHAIN):
        assert open_chunk(stored, CHAIN).text == text
        body = bytearray(stored.body)
        body[-1] ^= 1
        for damaged in (
            msgspec.structs.replace(stored, body=bytes(body)),
            msgspec.structs.replace(stored, first=stored.first + 1),
        ):
            with pytest.raises(StoreDamaged, match="input chunk 0"):
                open_chunk(damaged, CHAIN)
        with pytest.raises(StoreDamaged):
            open_chunk(stored, b"d" * 32)
