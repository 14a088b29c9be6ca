"""Range queues with stealing: every item is in exactly one place, whatever is put, taken or stolen."""

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from everyitem.engine.queues import NodeQueues

COUNT = 60
NODES = ("a", "b", "c")
node = st.sampled_from(NODES)


class QueueModel(RuleBasedStateMachine):
    """Three nodes and sixty items, of which some are out."""

    @initialize(cuts=st.lists(st.integers(0, COUNT), min_size=2, max_size=2))
    def share(self, cuts: list[int]) -> None:
        self.rates: dict[str, float] = {}
        self.queues = NodeQueues(lambda node: self.rates.get(node, 0.0))
        first, second = sorted(cuts)
        for name, start, stop in zip(NODES, (0, first, second), (first, second, COUNT), strict=True):
            self.queues.put(name, start, stop)
        self.out: set[int] = set()

    @rule(who=node, count=st.integers(1, 12), rates=st.dictionaries(node, st.floats(0, 1e6)))
    def take(self, who: str, count: int, rates: dict[str, float]) -> None:
        """Whoever asks gets a range of items that nobody has, and nothing only when there is nothing."""
        self.rates = rates
        for name in NODES:
            self.queues.measured(name)
        taken = self.queues.take(who, count)
        assert len(taken) <= count
        assert not self.out.intersection(taken)
        assert taken or len(self.out) == COUNT
        self.out.update(taken)

    @precondition(lambda self: self.out)
    @rule(who=node, data=st.data(), length=st.integers(1, 8))
    def give_back(self, who: str, data: st.DataObject, length: int) -> None:
        """A range that is out comes back, to any node."""
        start = data.draw(st.sampled_from(sorted(self.out)))
        stop = start
        while stop in self.out and stop - start < length:
            stop += 1
        self.queues.put(who, start, stop)
        self.out.difference_update(range(start, stop))

    @precondition(lambda self: len(self.out) < COUNT)
    @rule(who=node, data=st.data())
    def what_is_queued_is_not_queued_again(self, who: str, data: st.DataObject) -> None:
        """The node that has an item refuses it a second time."""
        queue = self.queues._queues.get(who)
        queued = [] if queue is None else _items(queue)
        if queued:
            index = data.draw(st.sampled_from(queued))
            with pytest.raises(AssertionError, match="overlaps"):
                queue.put(index, index + 1)

    @invariant()
    def every_item_is_in_one_place(self) -> None:
        queued = [index for queue in self.queues._queues.values() for index in _items(queue)]
        assert sorted([*queued, *self.out]) == list(range(COUNT))
        assert self.queues.remaining == len(queued)
        for queue in self.queues._queues.values():
            assert queue.remaining == len(_items(queue))
            ranges = list(zip(queue._starts, queue._stops, strict=True))
            assert ranges == sorted(ranges, reverse=True)
            assert all(low[1] < high[0] for high, low in pairwise(ranges))


def _items(queue) -> list[int]:
    ranges = zip(queue._starts, queue._stops, strict=True)
    return [index for start, stop in ranges for index in range(start, stop)]


TestQueueModel = QueueModel.TestCase
TestQueueModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
