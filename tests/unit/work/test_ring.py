"""The ring of finished outcomes."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock
from everyitem.work.mapping import LEASE, Mapping, create_mapping_file
from everyitem.work.ring import RingReader, RingWriter


class Pair:
    """Both ends of a small ring in one process; draining and shipping are immediate."""

    def __init__(self, *, outcomes: int = 8, text_bytes: int = 200) -> None:
        fd = create_mapping_file(outcomes=outcomes, text_bytes=text_bytes)
        self.mapping = Mapping(fd)
        os.close(fd)
        self.reader = RingReader(self.mapping)
        self.writer = RingWriter(self.mapping, drain=self.drain, ship=self.ship)
        self.elsewhere: dict[int, bytes] = {}
        self.blocks: list[OutcomeBlock] = []
        self.drains = 0

    def begin(self, indices: range | tuple[int, ...], *, attempt: int = 1, lease_id: int = 7) -> None:
        self.reader.begin(lease_id, indices, attempt)
        self.writer.begin(lease_id)

    def take(self) -> OutcomeBlock:
        block = self.reader.take(self.elsewhere)
        self.blocks.append(block)
        return block

    def drain(self) -> None:
        self.drains += 1
        self.take()
        self.reader.emptied()

    def ship(self, position: int, text: bytes) -> None:
        self.elsewhere[position] = text

    def results(self) -> dict[int, bytes]:
        """Index to result text (or the failure's message) over all blocks taken, each exactly once."""
        found: dict[int, bytes] = {}
        for block in self.blocks:
            for run in block.successes:
                for index, text in zip(run.indices(), run.result_texts(), strict=True):
                    assert index not in found
                    found[index] = text
            for failure in block.failures:
                assert failure.index not in found
                found[failure.index] = failure.message.encode()
        return found


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A ring of 8 outcomes and 200 bytes of text."""
    pair = Pair()
    yield pair
    pair.mapping.close()


def failure_of(index: int, message: str = "boom") -> Failure:
    return Failure(index, 1, ErrorCode.ITEM_ERROR, "ValueError", message, 5)


def test_a_run_of_successes_is_taken_as_one(pair: Pair) -> None:
    """Successes without a failure between them come as one range and one array of results."""
    pair.begin(range(100, 103), attempt=2)
    for text in (b"1", b'{"a":2}', b"null"):
        pair.writer.succeeded(text, 10)
    (run,) = pair.take().successes
    assert run.ranges == [(100, 3)]
    assert run.results == b'[1,{"a":2},null]'
    assert run.durations_us == [10, 10, 10]
    assert run.attempt == 2


def test_taking_goes_on_where_it_stopped(pair: Pair) -> None:
    """What was taken once is not taken again."""
    pair.begin(range(5))
    pair.writer.succeeded(b"1", 1)
    assert pair.take().successes[0].ranges == [(0, 1)]
    assert len(pair.take()) == 0
    pair.writer.succeeded(b"2", 1)
    pair.writer.succeeded(b"3", 1)
    (run,) = pair.take().successes
    assert (run.ranges, run.results) == ([(1, 2)], b"[2,3]")


def test_failures_lie_between_successes(pair: Pair) -> None:
    """A failed attempt keeps all its fields and leaves the neighbours' results alone."""
    pair.begin((4, 5, 9, 20))
    pair.writer.succeeded(b'"a"', 1)
    pair.writer.failed(failure_of(5))
    pair.writer.succeeded(b'"b"', 2)
    pair.writer.succeeded(b'"c"', 3)
    block = pair.take()
    assert block.failures == [failure_of(5)]
    assert block.successes[0].ranges == [(4, 1), (9, 1), (20, 1)]
    assert block.successes[0].results == b'["a","b","c"]'
    assert block.successes[0].durations_us == [1, 2, 3]


def test_a_full_ring_is_drained_and_filled_again(pair: Pair) -> None:
    """More outcomes than fit are all handed over, each once."""
    pair.begin(range(50))
    for number in range(50):
        pair.writer.succeeded(str(number).encode(), number)
    pair.take()
    assert pair.results() == {number: str(number).encode() for number in range(50)}
    assert pair.drains == 6


def test_an_outcome_too_large_goes_elsewhere(pair: Pair) -> None:
    """A text no empty ring could hold is shipped, and still counted in its place."""
    pair.begin(range(3))
    large = b'"' + b"x" * 500 + b'"'
    pair.writer.succeeded(b"1", 1)
    pair.writer.succeeded(large, 2)
    pair.writer.failed(failure_of(2, "y" * 300))
    pair.take()
    assert pair.results() == {0: b"1", 1: large, 2: b"y" * 300}


def test_taking_waits_for_a_text_under_way(pair: Pair) -> None:
    """An outcome whose text has not arrived yet is left, with those behind it, for the next time."""
    pair.begin(range(3))
    pair.writer.succeeded(b"1" * 400, 1)
    pair.writer.succeeded(b"2", 1)
    text = pair.elsewhere.pop(0)  # as if it were still in the socket
    assert len(pair.take()) == 0
    pair.elsewhere[0] = text
    pair.take()
    assert pair.results() == {0: b"1" * 400, 1: b"2"}


def test_outcomes_of_another_lease_are_not_taken(pair: Pair) -> None:
    """Until the worker has begun a lease, what is in the ring belongs to the one before."""
    pair.begin(range(2))
    pair.writer.succeeded(b"1", 1)
    pair.take()
    pair.reader.begin(8, range(10, 12), 1)
    assert pair.reader.finished == 0
    assert len(pair.take()) == 0
    pair.writer.begin(8)
    pair.writer.succeeded(b"2", 1)
    pair.take()
    assert pair.results() == {0: b"1", 10: b"2"}


def test_the_lease_is_published_last(pair: Pair) -> None:
    """Beginning a lease resets the counts before it says that they are about the new lease."""
    pair.begin(range(2), lease_id=1)
    pair.writer.succeeded(b"1", 1)
    pair.begin(range(2), lease_id=2)
    assert pair.mapping.words[LEASE] == 2
    assert pair.reader.finished == 0


_events = st.lists(
    st.one_of(
        st.tuples(st.just("succeeded"), st.integers(1, 300)),
        st.tuples(st.just("failed"), st.integers(0, 300)),
        st.just(("take", 0)),
    ),
    max_size=80,
)


@given(events=_events, outcomes=st.integers(1, 10), text_bytes=st.integers(100, 250))
def test_every_outcome_comes_out_once(events: list[tuple[str, int]], outcomes: int, text_bytes: int) -> None:
    """Whatever the sizes and whenever it is drained, each position's outcome is taken exactly once."""
    pair = Pair(outcomes=outcomes, text_bytes=text_bytes)
    pair.begin(range(1000, 1000 + len(events)))
    expected: dict[int, bytes] = {}
    for kind, size in events:
        index = 1000 + len(expected)
        if kind == "take":
            pair.take()
        elif kind == "succeeded":
            expected[index] = b"7" * size
            pair.writer.succeeded(expected[index], size)
        else:
            expected[index] = b"m" * size
            pair.writer.failed(failure_of(index, "m" * size))
    pair.take()
    assert pair.results() == expected
    pair.mapping.close()
