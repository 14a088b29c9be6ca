"""The retry heap: nobody runs too early or is forgotten, groups are of one attempt, suspects go alone."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from everyitem.engine.retries import GROUP, GROUP_WAIT, Retry, RetryHeap


class RetryModel(RuleBasedStateMachine):
    """Items that wait, by when they may run."""

    @initialize()
    def begin(self) -> None:
        self.heap = RetryHeap()
        self.now = 0.0
        self.number = 0
        self.waiting: dict[int, Retry] = {}
        self.ready: dict[int, Retry] = {}
        self.ready_since = 0.0

    @rule(
        attempt=st.integers(2, 4),
        delay=st.floats(0, 2),
        alone=st.booleans(),
        cause=st.sampled_from(["", *"ab"]),
    )
    def push(self, attempt: int, delay: float, *, alone: bool, cause: str) -> None:
        """An item failed and waits."""
        retry = Retry(self.number, attempt, self.now + delay, alone, cause)
        self.number += 1
        self.heap.push(retry)
        self.waiting[retry.index] = retry

    @rule(seconds=st.floats(0, 1))
    def let_time_pass(self, seconds: float) -> None:
        """Whoever is due is ready, and nobody else."""
        self.now += seconds
        self.heap.release(self.now)
        for retry in list(self.waiting.values()):
            if retry.due <= self.now:
                self.ready[retry.index] = self.waiting.pop(retry.index)

    @rule(count=st.integers(1, 20))
    def take_group(self, count: int) -> None:
        """An impatient caller gets ready items of one attempt, those of the longest waiting first."""
        group = self.heap.take_group(count, self.now, patient=False)
        company = [retry for retry in self.ready.values() if not retry.alone]
        assert len(group) <= count
        assert bool(group) == bool(company)
        assert len({retry.attempt for retry in group}) <= 1
        for retry in group:
            assert self.ready.pop(retry.index) is retry
            assert not retry.alone
            assert retry.due <= self.now

    @rule(data=st.data(), cause=st.sampled_from("ab"))
    def excuse(self, data: st.DataObject, cause: str) -> None:
        """Items of one cause get the number before, once; whether they wait or are ready."""
        there = self.waiting | self.ready
        asked = data.draw(st.sets(st.sampled_from(sorted(there)))) if there else set()
        expected = {index: there[index].attempt - 1 for index in asked if there[index].cause == cause}
        excused = self.heap.excuse(asked, cause)
        assert {retry.index: retry.attempt for retry in excused} == expected
        assert len(excused) == len(expected)
        self.let_time_pass(0.0)
        for index in expected.keys() & self.ready.keys():
            assert self.ready[index].cause == ""

    @rule()
    def patience_has_an_end(self) -> None:
        """A small group waits for company, but no longer than it should."""
        company = [retry for retry in self.ready.values() if not retry.alone]
        group_due = self.heap.group_due()
        assert (group_due is not None) == bool(company)
        if group_due is None:
            return
        assert group_due <= self.now + GROUP_WAIT
        taken = self.heap.take_group(10_000, self.now, patient=True)
        assert bool(taken) == (len(company) >= GROUP or self.now >= group_due)
        for retry in taken:
            del self.ready[retry.index]

    @rule()
    def take_alone(self) -> None:
        """Suspects come one at a time."""
        suspects = [retry for retry in self.ready.values() if retry.alone]
        retry = self.heap.take_alone()
        assert (retry is not None) == bool(suspects)
        if retry is not None:
            assert self.ready.pop(retry.index) is retry

    @invariant()
    def nobody_is_forgotten(self) -> None:
        assert len(self.heap) == len(self.waiting) + len(self.ready)
        assert self.heap.ready == len(self.ready)
        assert self.heap.next_due() == min((retry.due for retry in self.waiting.values()), default=None)


TestRetryModel = RetryModel.TestCase
TestRetryModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
