"""How a run begins from what is recorded."""

import pytest
from tests.unit.engine.driver import leases

from everyitem.engine.ledger import Mark
from everyitem.engine.messages import TimePassed
from everyitem.engine.resumption import begin_run, counters_at_start, wall_at_start
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.plan import partition_items
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Counters, PendingRetry
from everyitem.ports.execution import ExecutionRecord, Recorded
from everyitem.ports.node import HolderJoined
from everyitem.ports.progress import Progress

NOON = 1_700_000_000.0


def record(*, checkpoint_at: float | None = None, progress_at: float | None = None) -> ExecutionRecord:
    """An execution that was interrupted, with what its store has seen of the time of day."""
    return ExecutionRecord(
        execution_key=1,
        batch_id="b",
        execution=1,
        round=1,
        status=ExecutionStatus.INTERRUPTED,
        content="",
        items_digest="",
        item_count=3,
        named=False,
        processor="p",
        processor_code="",
        envelope=b"{}",
        settings=b"{}",
        source=None,
        created_at=NOON,
        finished_at=None,
        runs=1,
        counters=Counters(),
        progress=None if progress_at is None else Progress(at=progress_at),
        response=None,
        last_checkpoint_at=checkpoint_at,
        owned=False,
    )


def recorded(*retries: PendingRetry, marks: bytes = bytes(3), **counters: int) -> Recorded:
    """What a run goes on from."""
    return Recorded(
        ledger=bytearray(marks), retries=list(retries), last_sequence=0, counters=Counters(**counters)
    )


@pytest.mark.parametrize("seen", ["checkpoint_at", "progress_at"])
def test_a_run_never_begins_before_what_was_recorded_already(seen: str) -> None:
    """The clock was set back by a day in between; the record is the better witness."""
    assert wall_at_start(record(**{seen: NOON}), NOON - 86_400) == NOON
    assert wall_at_start(record(**{seen: NOON}), NOON + 5) == NOON + 5


def test_a_clock_that_was_set_back_does_not_make_a_retry_wait_for_it() -> None:
    """Two seconds after the last checkpoint are two seconds, whatever the time of day is said to be."""
    wall = wall_at_start(record(checkpoint_at=NOON), NOON - 86_400)
    state = begin_run(
        ProcessingConfiguration(processor="p"),
        recorded(PendingRetry(0, 1, NOON + 2), marks=bytes((0, 1, 1))),
        Counters(succeeded=2),
        nodes=[("n", 1)],
        partitions=partition_items(3, 1),
        at=0.0,
        wall=wall,
        chance=lambda: 1.0,
    )
    assert leases(state.handle(HolderJoined(0.0, "n/1", "n", 1, shared=False))) == []
    (lease,) = leases(state.handle(TimePassed(2.0)))
    assert (list(lease.indices), lease.attempt) == ([0], 2)


def test_a_round_begins_with_nothing_retried() -> None:
    """What a redrive opens again counts from the beginning."""
    start = counters_at_start(
        recorded(retried=5, succeeded=1, marks=bytes((Mark.SUCCEEDED, 0, 0))),
        begins_round=True,
        recovering=False,
    )
    assert start.retried == 0


def test_attempts_used_up_early_in_a_round_stay_counted_after_a_crash() -> None:
    """The charge of a worker's death is on disk before the round's first checkpoint is."""
    start = counters_at_start(
        recorded(PendingRetry(1, 1, NOON), retried=1), begins_round=True, recovering=True
    )
    assert start.retried == 1
