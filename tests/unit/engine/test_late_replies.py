"""F14: what comes from a worker that was written off is refused, and recorded over nothing."""

import pytest
from tests.unit.engine.driver import Driver, successes

from everyitem.model.outcome import OutcomeBlock, Successes
from everyitem.ports.node import HolderLost, Lease, SliceFinished

REPLIES = 1_000


def answer(lease: Lease, text: bytes) -> OutcomeBlock:
    """Every item of the lease succeeds with this result."""
    count = len(lease.indices)
    results = b"[" + b",".join([text] * count) + b"]"
    return OutcomeBlock(
        [Successes([(index, 1) for index in lease.indices], lease.attempt, [1] * count, results)], []
    )


def recorded(driver: Driver) -> list[bytes]:
    """Every result that goes to the disk."""
    drafts = [draft for save in driver.saves for draft in save.segments]
    return [text for draft in drafts for run in draft.successes for text in run.result_texts()]


@pytest.mark.parametrize("when", ["before the new answer", "after it"])
def test_a_thousand_late_replies_are_recorded_by_nobody(when: str) -> None:
    """Each item is written off once, runs elsewhere, and is answered for by both: only the second counts."""
    driver = Driver(REPLIES, checkpoint_interval=100)
    (lease,) = driver.join("n/0")
    late_outcomes = 0
    for number in range(REPLIES):
        lost, old = f"n/{number}", lease
        driver.now += 0.001
        driver.tell(HolderLost(driver.now, lost, OutcomeBlock(), "cut off", replaced=True))
        late_outcomes += len(old.indices)
        late = SliceFinished(driver.now, lost, old.lease_id, answer(old, b'"late"'))
        (lease,) = driver.join(f"n/{number + 1}")
        assert set(old.indices) & set(lease.indices), "it runs elsewhere"
        if when.startswith("before"):
            driver.tell(late)
        following = driver.finish(lease, answer(lease, b'"new"'), f"n/{number + 1}")
        if when.startswith("after"):
            driver.tell(late)
        if not following:
            break
        (lease,) = following
    assert driver.state.ledger.succeeded == REPLIES
    assert late_outcomes >= REPLIES
    assert recorded(driver) == [b'"new"'] * REPLIES


def test_the_holder_that_follows_is_not_taken_for_the_one_that_was_lost() -> None:
    """A reply names its holder and its lease; the lease of another holder is not its to end."""
    driver = Driver(10)
    (old,) = driver.join("n/0")
    driver.tell(HolderLost(0.0, "n/0", OutcomeBlock(), "cut off", replaced=True))
    (new,) = driver.join("n/1")
    driver.tell(SliceFinished(0.0, "n/0", new.lease_id, successes(list(new.indices))))
    driver.tell(SliceFinished(0.0, "n/1", old.lease_id, successes(list(old.indices))))
    assert driver.state.ledger.succeeded == 0
