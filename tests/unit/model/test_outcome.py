"""Outcomes: cut and merged without losing one."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock, Successes


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
def test_a_split_loses_and_moves_nothing(whole, data):
    """The first `count` items and the rest are the whole, item by item."""
    if len(whole) < 2:
        return
    count = data.draw(st.integers(1, len(whole) - 1))
    left, right = whole.split(count)
    assert len(left) == count
    assert pairs(left) + pairs(right) == pairs(whole)


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
