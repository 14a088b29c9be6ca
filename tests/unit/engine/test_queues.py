"""Range queues: whatever is put in comes out once."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from everyitem.engine.ledger import Ledger, Mark
from everyitem.engine.queues import NodeQueues, RangeQueue, Steal


def test_returned_ranges_merge() -> None:
    """Three neighbours are one range again, taken in one go."""
    queue = RangeQueue()
    for start, stop in [(0, 10), (20, 30), (10, 20)]:
        queue.put(start, stop)
    assert queue.take(100) == range(30)


def test_stealing_takes_the_rear_half_and_leaves_the_front() -> None:
    """The victim goes on where it is."""
    queues = NodeQueues(lambda node: 0.0)
    queues.put("victim", 0, 100)
    assert queues.take("thief", 10) == range(50, 60)
    assert queues.take("victim", 10) == range(10)
    assert (queues.remaining, queues.steals) == (80, 1)


def test_the_latest_steals_are_remembered_and_no_more_than_a_few() -> None:
    """Who took how many items from whom, and when; a run may have thousands of them."""
    queues = NodeQueues(lambda node: 0.0)
    queues.put("a", 0, 100)
    queues.take("b", 1, at=7.0)
    assert list(queues.latest) == [Steal(7.0, "b", "a", 50)]
    for number in range(50):
        queues.put("a", 1000 + 10 * number, 1001 + 10 * number)
        queues.take(f"c{number}", 1)
    assert (len(queues.latest), queues.steals) == (16, 51)


def test_the_victim_is_the_node_that_would_take_longest() -> None:
    """Twice the work at four times the speed is not the victim."""
    queues = NodeQueues({"slow": 10.0, "fast": 40.0}.__getitem__)
    queues.put("slow", 0, 100)
    queues.put("fast", 100, 300)
    assert queues.take("thief", 1)[0] in range(100)


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "rear"]), st.integers(1, 40)), max_size=60))
def test_every_index_comes_out_exactly_as_often_as_it_went_in(steps: list[tuple[str, int]]) -> None:
    """Against a plain set: takes from the front, steals from the rear, gives back anywhere."""
    queue, expected, outside, following = RangeQueue(), set[int](), list[range](), 0
    for what, size in steps:
        if what == "put":
            part = (
                outside.pop(size % len(outside))
                if outside and size % 2
                else range(following, following + size)
            )
            following = max(following, part.stop)
            queue.put(part.start, part.stop)
            expected |= set(part)
            continue
        taken = [queue.take(size)] if what == "take" else queue.take_rear(size)
        indices = [index for part in taken for index in part]
        if what == "take" and expected:
            assert indices[0] == min(expected)
        if what == "rear":
            assert set(indices) == set(sorted(expected)[-size:])
        assert expected.issuperset(indices)
        expected -= set(indices)
        outside += [part for part in taken if part]
    assert queue.remaining == len(expected)


@given(st.binary(max_size=200), st.sampled_from(list(Mark)))
def test_runs_are_the_maximal_ranges_of_a_mark(marks: bytes, mark: Mark) -> None:
    """Found by galloping, equal to what a plain scan finds."""
    marks = bytes(one % 5 for one in marks)
    ledger = Ledger(bytearray(marks))
    scanned = {index for index, one in enumerate(marks) if one == mark}
    runs = ledger.runs(mark)
    assert {index for start, stop in runs for index in range(start, stop)} == scanned
    assert all(stop < after for (_, stop), (after, _) in pairwise(runs))
