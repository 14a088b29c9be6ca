"""What an outage took is marked in the record: by itself while it waits for the disk, in an excuse later."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.engine.driver import Driver, successes

from everyitem.engine.breaker import EVIDENCE, Standing
from everyitem.engine.retries import Retry, RetryHeap
from everyitem.engine.segments import SegmentCutter
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import UNREACHABLE, Excuse, Failure, OutcomeBlock
from everyitem.ports.node import Lease

REFUSED = "ConnectionRefusedError"


def refused(index: int, attempt: int = 1, **more: Any) -> Failure:
    return Failure(index, attempt, ErrorCode.ITEM_ERROR, REFUSED, "refused", family=UNREACHABLE, **more)


class Outage:
    """A batch of a hundred items on forty slots, all of which are called at once and are refused."""

    def __init__(self, **configuration: Any) -> None:
        self.driver = Driver(100, nodes=(("n", 40),), parallelism=40, **configuration)
        self.leases: list[Lease] = self.driver.join(slots=40, shared=True)

    @property
    def indices(self) -> list[int]:
        return [index for lease in self.leases for index in lease.indices]

    def refuse(self, indices: Sequence[int]) -> None:
        for index in indices:
            lease = next(one for one in self.leases if index in one.indices)
            self.driver.now += 0.01
            self.driver.arrive(lease, OutcomeBlock([], [refused(index)]))

    @property
    def is_noticed(self) -> bool:
        return self.driver.state.pacing.breaker.standing is Standing.OPEN

    def end(self) -> None:
        """Save whatever waits."""
        self.driver.state.recorder.cut_soon()
        self.driver.now += 60.0
        self.refuse(self.indices[-1:])

    @property
    def written(self) -> list[Failure]:
        return [one for save in self.driver.saves for segment in save.segments for one in segment.failures]

    @property
    def excuses(self) -> list[Excuse]:
        return [one for save in self.driver.saves for segment in save.segments for one in segment.excuses]


def test_what_an_outage_took_is_marked_and_so_is_its_evidence() -> None:
    """Nothing was written before it was noticed: all marks are on the failures themselves, nobody retried."""
    outage = Outage()
    outage.refuse(outage.indices[: EVIDENCE + 3])
    assert outage.is_noticed
    outage.end()
    assert [one.excused for one in outage.written] == [True] * (EVIDENCE + 4)
    assert outage.excuses == []
    assert outage.driver.state.accounting.retried == 0


def test_evidence_that_is_written_is_excused_in_the_save_that_gives_the_retry_back() -> None:
    """A crash between the two would leave attempt 1 twice in the history, or a retry burnt."""
    outage = Outage(checkpoint_interval=2)
    early = outage.indices[:3]
    outage.refuse(early)
    done = outage.indices[20:22]
    for index in done:
        lease = next(one for one in outage.leases if index in one.indices)
        outage.driver.arrive(lease, successes([index]))
    (first,) = outage.driver.saves
    assert [one.excused for one in first.segments[0].failures] == [False] * 3
    assert [change.attempts for change in first.retries] == [1] * 3
    outage.refuse(outage.indices[3:10])
    assert outage.is_noticed
    second = outage.driver.saves[1]
    assert [one for segment in second.segments for one in segment.excuses] == [
        Excuse(index, 1) for index in early
    ]
    assert {change.index: change.attempts for change in second.retries if change.index in early} == (
        dict.fromkeys(early, 0)
    )
    assert outage.driver.state.accounting.retried == 0


def test_who_has_killed_a_worker_since_is_charged_for_that() -> None:
    """Its first attempt met the outage; its second one ended otherwise, and is not given back."""
    heap = RetryHeap()
    heap.push(Retry(1, 2, 5.0, cause=UNREACHABLE))
    heap.push(Retry(2, 3, 5.0, alone=True))
    excused = heap.excuse({1, 2}, UNREACHABLE)
    assert [(one.index, one.attempt) for one in excused] == [(1, 1)]


@pytest.mark.parametrize("how", [{"permanent": True}, {"innate": True}])
def test_items_that_are_at_fault_speak_against_an_outage(how: dict[str, bool]) -> None:
    """Of ten first attempts seven are refused and three items are bad: that is no outage."""
    outage = Outage()
    outage.refuse(outage.indices[:4])
    for index in outage.indices[4:7]:
        lease = next(one for one in outage.leases if index in one.indices)
        outage.driver.arrive(lease, OutcomeBlock([], [refused(index, **how)]))
    outage.refuse(outage.indices[7:10])
    assert not outage.is_noticed


def test_the_latest_failure_of_an_attempt_is_marked() -> None:
    """In the segment being filled and in full ones; what has left is told of in the next segment."""
    cutter = SegmentCutter(2)
    cutter.add_failure(refused(7))
    cutter.take_all()
    cutter.add_failure(refused(5))
    cutter.add_successes(successes([1, 2]).successes[0])
    cutter.add_failure(refused(6))
    assert cutter.excuse({Excuse(5, 1), Excuse(6, 1), Excuse(7, 1)}) == 1
    full, filling = cutter.take_all()
    assert [one.excused for one in (*full.failures, *filling.failures)] == [True, True]
    assert filling.excuses == [Excuse(7, 1)]
    assert cutter.is_empty


def test_an_excuse_alone_is_a_segment() -> None:
    """It is not forgotten because nothing else waits."""
    cutter = SegmentCutter(10)
    cutter.excuse({Excuse(7, 1)})
    assert not cutter.is_empty
    assert [draft.excuses for draft in cutter.take_all()] == [[Excuse(7, 1)]]
