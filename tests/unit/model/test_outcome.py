"""Outcomes: cut and merged without losing one."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import UNREACHABLE, Failure, OutcomeBlock, Successes


@st.composite
def successes(draw):
    """Some successes in a few disjoint ranges."""
    ranges, first = [], 0
    for _ in range(draw(st.integers(1, 4))):
        first += draw(st.integers(0, 5))
        count = draw(st.integers(1, 4))
        ranges.append((first, count))
        first += count
    total = sum(count for _, count in ranges)
    return Successes(ranges, 1, list(range(total)), msgspec.json.encode([{"n": k} for k in range(total)]))


def pairs(part):
    """(index, duration, result) of each item."""
    return list(zip(part.indices(), part.durations_us, part.result_texts(), strict=True))


@given(whole=successes(), data=st.data())
def test_pieces_lose_and_move_nothing(whole, data):
    """They are the whole, item by item, and all but the first and last have the size asked for."""
    first = data.draw(st.integers(1, len(whole)))
    size = data.draw(st.integers(1, 5))
    pieces = whole.pieces(first, size)
    assert [pair for piece in pieces for pair in pairs(piece)] == pairs(whole)
    assert len(pieces[0]) == min(first, len(whole))
    assert all(len(piece) == size for piece in pieces[1:-1])


@given(whole=successes(), data=st.data())
def test_keep_keeps_exactly_what_is_wanted(whole, data):
    """Only wanted indices stay, with their own durations and results."""
    wanted = data.draw(st.sets(st.sampled_from(whole.indices())))
    assert pairs(whole.keep(wanted)) == [pair for pair in pairs(whole) if pair[0] in wanted]


def test_a_block_counts_items():
    """Its length is items of both kinds."""
    block = OutcomeBlock(
        [Successes([(0, 2)], 1, [10, 20], b"[1,2]")], [Failure(5, 1, ErrorCode.ITEM_ERROR, "E", "m", 30)]
    )
    assert len(block) == 3


def test_blocks_cross_a_pipe_unchanged():
    """MessagePack and back is the same block."""
    block = OutcomeBlock([Successes([(0, 1)], 2, [10], b"[null]")], [], [(0, 1, "INFO", "text")])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(block), type=OutcomeBlock) == block


def test_failures_written_before_there_were_families_are_read_as_they_are():
    """Fields are only appended, with defaults."""
    failure = Failure(3, 1, ErrorCode.ITEM_ERROR, "ConnectionError", "no", excused=True, family=UNREACHABLE)
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(failure))
    assert (fields.pop(), fields.pop()) == ([], UNREACHABLE)
    before = msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=Failure)
    assert (before.type, before.excused, before.family) == ("ConnectionError", True, "")
