"""The rules of the state machine, fed by hand."""

from itertools import pairwise

import pytest
from tests.unit.engine.driver import Driver, failure, leases, revocations, successes

from everyitem.engine.messages import (
    CancelAsked,
    ChangeStatus,
    Ending,
    InterruptNodes,
    PauseAsked,
    ResumeAsked,
    RunSlice,
    SaveCheckpoint,
    StopAsked,
    StoreFailed,
    TimePassed,
)
from everyitem.engine.retries import PendingAttempt
from everyitem.model.configuration import ErrorStrategy, ProcessingConfiguration
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import OutcomeBlock
from everyitem.model.retry import RetryPolicy
from everyitem.model.status import ExecutionStatus
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    ItemRunsLong,
    NodeFailed,
    SliceFinished,
    SliceShortened,
)

NO_WAIT = RetryPolicy(max_retries=3, initial_delay=0.0)


def test_an_item_that_fails_twice_then_succeeds_counts_as_successful() -> None:
    """Only the final outcome counts; retries are told by their attempt number."""
    driver = Driver(1, retry=NO_WAIT)
    (first,) = driver.join()
    (second,) = driver.finish(first, failure(0, 1))
    (third,) = driver.finish(second, failure(0, 2))
    assert (second.attempt, third.attempt) == (2, 3)
    driver.finish(third, successes([0], attempt=3))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.ending is Ending.COMPLETED
    assert (driver.state.ledger.succeeded, driver.state.ledger.failed) == (1, 0)
    assert driver.state.accounting.retried == 1


def test_three_retries_mean_four_attempts() -> None:
    """maxRetryAttempts counts the attempts after the first."""
    driver = Driver(1, retry=NO_WAIT)
    (lease,) = driver.join()
    attempts = 1
    while lease_list := driver.finish(lease, failure(0, lease.attempt)):
        (lease,) = lease_list
        attempts += 1
    assert attempts == 4
    assert driver.state.ledger.failed == 1


def test_a_permanent_failure_is_never_retried() -> None:
    """PermanentItemError ends the item at its first attempt."""
    driver = Driver(1, retry=NO_WAIT)
    (lease,) = driver.join()
    assert driver.finish(lease, failure(0, permanent=True)) == []
    assert driver.state.ledger.failed == 1


def test_retry_later_uses_up_no_retry() -> None:
    """RetryLater repeats the same attempt number after the delay asked for."""
    driver = Driver(1, retry=RetryPolicy(max_retries=0))
    (lease,) = driver.join()
    assert driver.finish(lease, failure(0, retry_after=5.0)) == []
    assert driver.wake_at == 5.0
    driver.now = 5.0
    (again,) = leases(driver.tell(TimePassed(5.0)))
    assert again.attempt == 1


def test_backoff_doubles_and_full_jitter_takes_its_share() -> None:
    """The delay before retry k is min(max, initial * multiplier^(k-1)) times chance."""
    driver = Driver(1, retry=RetryPolicy(initial_delay=1.0, multiplier=2.0, max_delay=3.0), chance=0.5)
    (lease,) = driver.join()
    waits = []
    for _ in range(3):
        driver.finish(lease, failure(0, lease.attempt))
        assert driver.wake_at is not None
        waits.append(driver.wake_at - driver.now)
        driver.now = driver.wake_at
        (lease,) = leases(driver.tell(TimePassed(driver.now)))
    assert waits == pytest.approx([0.5, 1.0, 1.5])


def test_waiting_for_a_retry_holds_no_slot() -> None:
    """While one item waits, the worker gets the next ones."""
    driver = Driver(3, retry=RetryPolicy(initial_delay=10.0))
    (lease,) = driver.join()
    assert list(lease.indices) == [0]
    (following,) = driver.finish(lease, failure(0))
    assert 0 not in following.indices


def test_the_first_slice_is_one_item_and_the_next_at_most_twice_as_large() -> None:
    """Slow start: a worker proves itself before it gets much."""
    driver = Driver(1000)
    (lease,) = driver.join()
    sizes = [len(lease.indices)]
    for _ in range(5):
        driver.now += 0.0001
        (lease,) = driver.finish(lease, successes(lease.indices))
        sizes.append(len(lease.indices))
    assert sizes[0] == 1
    assert all(after <= 2 * before for before, after in pairwise(sizes))
    assert sizes[-1] > 8


def test_a_shared_queue_of_many_slots_ramps_up_by_doubling_before_a_rate_is_known() -> None:
    """Outcomes that arrive while others are out give no rate yet; that must not hold the doubling up."""
    driver = Driver(10_000)
    leases = driver.join(slots=4, shared=True)
    given = [sum(len(lease.indices) for lease in leases)]
    for _ in range(6):
        driver.now += 0.0001
        (lease, *rest) = leases
        leases = [*rest, *driver.finish(lease, successes(lease.indices))]
        given.append(max(len(lease.indices) for lease in leases))
    assert given[0] <= 8
    assert given[-1] >= 64


def test_waiting_for_us_is_not_being_slow() -> None:
    """Messages that are heard late begin leases late; slices stay as long as they were."""

    def sizes(late: float) -> list[int]:
        state, now, found = Driver(100_000).state, 0.0, list[int]()
        message: HolderJoined | SliceFinished = HolderJoined(0.0, "n/1", "n", 1)
        for _ in range(15):
            (told,) = (one for one in state.handle(message, now=now) if isinstance(one, RunSlice))
            found.append(len(told.lease.indices))
            done_at = now + found[-1] / 1000
            message = SliceFinished(done_at, "n/1", told.lease.lease_id, successes(told.lease.indices))
            now = done_at + late
        return found

    # times are sums of floats: an item more or less
    assert sizes(late=1.0) == pytest.approx(sizes(late=0.0), abs=1)
    assert sizes(late=1.0)[-1] in range(95, 106)


def test_competing_workers_never_get_more_than_a_fair_half_of_the_rest() -> None:
    """The tail shrinks geometrically: remaining / (2 * slots)."""
    driver = Driver(100, nodes=[("n", 2)])
    (one,) = driver.join("n/1")
    (two,) = driver.join("n/2")
    for _ in range(30):
        remaining = driver.state.dealer.queues.remaining
        driver.now += 0.001
        dealt = driver.finish(one, successes(one.indices), "n/1")
        if not dealt:
            break
        (one,) = dealt
        assert len(one.indices) <= max(1, -(-remaining // 4))
    assert two.lease_id


def test_what_a_slice_did_not_reach_comes_first_again() -> None:
    """Unreached items go back to the front of the queue."""
    driver = Driver(100)
    (lease,) = driver.join()
    for _ in range(4):
        driver.now += 0.0001
        (lease,) = driver.finish(lease, successes(lease.indices))
    reached, unreached = lease.indices[:2], lease.indices[2:]
    driver.now += 0.0001
    (following,) = driver.finish(lease, successes(reached))
    assert following.indices[0] == unreached[0]


def test_an_idle_node_steals_half_from_the_rear() -> None:
    """A node without work takes the rear half of the fullest queue."""
    driver = Driver(100, nodes=[("a", 1), ("b", 1)], partitions=1)
    driver.join("a/1", "a")
    (stolen,) = driver.join("b/1", "b")
    assert stolen.indices[0] == 1 + 99 // 2
    assert driver.state.dealer.queues.steals == 1


def test_nothing_waits_behind_a_slow_item() -> None:
    """A slice stuck in a slow item gives its rest back, and others do it."""
    driver = Driver(64, nodes=[("n", 2)])
    (mine,) = driver.join("n/1")
    (theirs,) = driver.join("n/2")
    while len(mine.indices) < 4:
        driver.now += 0.0001
        (mine,) = driver.finish(mine, successes(mine.indices), "n/1")
    assert revocations(driver.tell(ItemRunsLong(driver.now, "n/1", mine.lease_id))) == [mine.lease_id]
    driver.tell(SliceShortened(driver.now, "n/1", mine.lease_id, 1))
    driver.now += 0.0001
    (following,) = driver.finish(theirs, successes(theirs.indices), "n/2")
    assert following.indices[0] == mine.indices[1]


def test_a_lease_is_revoked_once() -> None:
    """After an answer nothing unstarted is left; asking again would never end (simulator, seed 2857)."""
    driver = Driver(8, nodes=[("a", 4), ("b", 1)])
    driver.join("a/1", "a", 4, shared=True)
    assert driver.join("b/1", "b") == []
    (asked,) = revocations(driver.commands)
    driver.tell(SliceShortened(0.0, "a/1", asked, 4))
    assert asked not in revocations(driver.tell(TimePassed(0.1)))


def test_outcomes_of_given_back_items_are_dropped() -> None:
    """The recorded-once guard: what was revoked belongs to somebody else."""
    driver = Driver(10)
    (lease,) = driver.join()
    while len(lease.indices) < 4:
        driver.now += 0.0001
        (lease,) = driver.finish(lease, successes(lease.indices))
    before = driver.state.ledger.succeeded
    driver.tell(SliceShortened(driver.now, "n/1", lease.lease_id, 2))
    driver.arrive(lease, successes(list(lease.indices)))
    assert driver.state.ledger.succeeded == before + 2


def test_a_doubled_message_changes_nothing() -> None:
    """The same outcomes told twice are recorded once."""
    driver = Driver(4, retry=NO_WAIT)
    (lease,) = driver.join()
    driver.arrive(lease, failure(0))
    driver.arrive(lease, failure(0))
    assert len(driver.state.retries) == 1
    driver.finish(lease, OutcomeBlock([], []))
    driver.finish(lease, successes([0]))
    assert driver.state.ledger.succeeded == 0


def test_a_dead_workers_suspect_runs_alone_after_its_charge_is_durable() -> None:
    """One attempt is on disk before the item may kill the next worker."""
    driver = Driver(50, retry=NO_WAIT, checkpoint_interval=1000)
    (lease,) = driver.join("n/1")
    died = HolderLost(0.0, "n/1", failure(0, alone=True), "signal SIGSEGV")
    driver.tell(died)
    (fresh,) = driver.join("n/2")
    assert 0 not in fresh.indices
    (charge,) = driver.saves
    assert [(one.index, one.attempts) for one in charge.retries] == [(0, 1)]
    assert not charge.segments
    driver.confirm_saves()
    (alone,) = driver.finish(fresh, successes(fresh.indices), "n/2")
    assert (list(alone.indices), alone.attempt) == ([0], 2)
    assert lease.lease_id


def test_who_killed_a_worker_runs_alone_from_then_on() -> None:
    """An ordinary error afterwards, or a request for more time, is no proof of innocence."""
    driver = Driver(1, retry=NO_WAIT, pending=[PendingAttempt(0, attempts=1, alone=True)])
    (second,) = driver.join()
    (again,) = driver.finish(second, failure(0, attempt=2, retry_after=0.0))
    driver.finish(again, failure(0, attempt=2))
    driver.state.recorder.cut_soon()
    driver.tell(TimePassed(driver.now))
    assert [(one.index, one.attempts, one.alone) for one in driver.saves[-1].retries] == [(0, 2, True)]


def test_an_isolated_item_that_merely_fails_is_retried_in_company() -> None:
    """It was suspected with its chunk, and has not killed the worker it had for itself."""
    driver = Driver(2, retry=NO_WAIT, unit=2)
    driver.join()
    driver.tell(HolderLost(0.0, "n/1", OutcomeBlock([], []), "died", isolate=(0, 1)))
    (alone,) = driver.join("n/2")
    (other,) = driver.finish(alone, failure(alone.indices[0]), "n/2")
    (company,) = driver.finish(other, failure(other.indices[0]), "n/2")
    assert sorted(company.indices) == [0, 1]


def test_a_lost_holder_charges_nobody_else() -> None:
    """Neighbours of the suspect pay nothing: they are fresh items again."""
    driver = Driver(64)
    (lease,) = driver.join()
    while len(lease.indices) < 8:
        driver.now += 0.0001
        (lease,) = driver.finish(lease, successes(lease.indices))
    driver.tell(HolderLost(driver.now, "n/1", failure(lease.indices[2], alone=True), "died"))
    (again,) = driver.join("n/2")
    assert again.attempt == 1
    assert again.indices[0] == lease.indices[0]


def test_isolated_items_run_singly_and_uncharged() -> None:
    """A chunk's items each get a slice of their own with the attempt number they had."""
    driver = Driver(4)
    (lease,) = driver.join()
    while len(lease.indices) < 2:
        driver.now += 0.0001
        (lease,) = driver.finish(lease, successes(lease.indices))
    suspects = tuple(lease.indices)
    driver.tell(HolderLost(driver.now, "n/1", OutcomeBlock([], []), "died", isolate=suspects))
    (one,) = driver.join("n/2")
    (two,) = driver.finish(one, successes(one.indices), "n/2")
    assert [tuple(one.indices), tuple(two.indices)] == [(suspects[0],), (suspects[1],)]
    assert one.attempt == two.attempt == 1


def test_fail_fast_records_exactly_one_final_failure() -> None:
    """After the deciding failure no item starts and further final failures stay open."""
    driver = Driver(10, nodes=[("n", 2)], strategy=ErrorStrategy.FAIL_FAST, retry=RetryPolicy(max_retries=0))
    (one,) = driver.join("n/1")
    (two,) = driver.join("n/2")
    assert driver.finish(one, failure(one.indices[0]), "n/1") == []
    assert driver.finish(two, failure(two.indices[0]), "n/2") == []
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.ending is Ending.FAILED_FAST
    assert driver.verdict.code is ErrorCode.ITEM_ERROR
    assert (driver.state.ledger.failed, driver.state.ledger.open) == (1, 9)


def test_successes_in_flight_at_the_deciding_failure_are_recorded() -> None:
    """What was already running and succeeds is kept."""
    driver = Driver(10, nodes=[("n", 2)], strategy=ErrorStrategy.FAIL_FAST, retry=RetryPolicy(max_retries=0))
    (one,) = driver.join("n/1")
    (two,) = driver.join("n/2")
    driver.finish(one, failure(one.indices[0]), "n/1")
    driver.finish(two, successes(two.indices), "n/2")
    assert driver.state.ledger.succeeded == 1


@pytest.mark.parametrize(("count", "percentage", "limit"), [(2, None, 2), (None, 25.0, 2), (None, None, 0)])
def test_stop_on_tolerance_fails_exactly_one_more_than_tolerated(
    count: int | None, percentage: float | None, limit: int
) -> None:
    """itemsFailed is the limit + 1; floor(10 * 25 / 100) is 2; without a tolerance it is 0."""
    driver = Driver(
        10,
        strategy=ErrorStrategy.STOP_ON_TOLERANCE,
        tolerated_failure_count=count,
        tolerated_failure_percentage=percentage,
        retry=RetryPolicy(max_retries=0),
    )
    dealt = driver.join()
    while dealt:
        (lease,) = dealt
        driver.arrive(lease, OutcomeBlock([], [one for i in lease.indices for one in failure(i).failures]))
        dealt = driver.finish(lease, OutcomeBlock([], []))
    driver.confirm_saves()
    assert driver.state.ledger.failed == limit + 1
    assert driver.verdict is not None and driver.verdict.ending is Ending.TOLERANCE_EXCEEDED


def test_a_resume_counts_failures_afresh() -> None:
    """Failures recorded before do not count towards this run's limit."""
    driver = Driver(
        3,
        recorded=bytearray([2, 0, 0]),
        strategy=ErrorStrategy.STOP_ON_TOLERANCE,
        tolerated_failure_count=1,
        retry=RetryPolicy(max_retries=0),
    )
    (lease,) = driver.join()
    driver.finish(lease, failure(1))
    assert driver.state.verdict is None


def test_tolerance_never_stops_continue_on_error() -> None:
    """There it is only reported."""
    driver = Driver(2, tolerated_failure_count=0, retry=RetryPolicy(max_retries=0))
    (lease,) = driver.join()
    driver.finish(lease, failure(0))
    assert driver.state.verdict is None
    assert driver.state.accounting.tally.count > (driver.state.accounting.tally.tolerated or 0)


def test_segments_are_cut_at_exactly_the_interval() -> None:
    """Ten items at an interval of four make segments of 4, 4 and 2."""
    driver = Driver(10, checkpoint_interval=4)
    dealt = driver.join()
    while dealt:
        (lease,) = dealt
        driver.now += 0.0001
        dealt = driver.finish(lease, successes(lease.indices))
    sizes = [segment.succeeded for save in driver.saves for segment in save.segments]
    assert sizes == [4, 4, 2]


def test_time_asks_for_a_checkpoint_too() -> None:
    """Outcomes wait no longer than checkpointIntervalSeconds."""
    driver = Driver(10, checkpoint_interval=1000, checkpoint_interval_seconds=30.0)
    (lease,) = driver.join()
    driver.now = 1.0
    driver.finish(lease, successes(lease.indices))
    assert driver.wake_at == 30.0
    driver.tell(TimePassed(30.0))
    assert [segment.succeeded for segment in driver.saves[-1].segments] == [1]


def test_without_checkpointing_there_is_one_segment_at_the_end() -> None:
    """enableCheckpointing: false."""
    driver = Driver(10, checkpoint_interval=2, enable_checkpointing=False)
    dealt = driver.join()
    while dealt:
        (lease,) = dealt
        dealt = driver.finish(lease, successes(lease.indices))
    assert [segment.succeeded for save in driver.saves for segment in save.segments] == [10]


def test_an_empty_batch_completes_with_one_checkpoint() -> None:
    """0 items are a success of their own."""
    driver = Driver(0)
    driver.tell(TimePassed(0.0))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.ending is Ending.COMPLETED
    assert driver.state.recorder.checkpoints == 1


def test_a_pause_takes_back_saves_and_starts_nothing() -> None:
    """Slices finish, a checkpoint is made, and only a resume deals again."""
    driver = Driver(100)
    (lease,) = driver.join()
    commands = driver.tell(PauseAsked(0.0))
    assert ChangeStatus(ExecutionStatus.PAUSED) in commands
    assert revocations(commands) == [lease.lease_id]
    assert driver.finish(lease, successes(lease.indices)) == []
    assert [segment.succeeded for segment in driver.saves[-1].segments] == [1]
    assert leases(driver.tell(ResumeAsked(10.0)))


def test_the_batch_timeout_counts_active_time_only() -> None:
    """A pause of ten seconds moves the deadline by ten seconds."""
    driver = Driver(100, deadline=5.0)
    driver.join()
    driver.tell(PauseAsked(1.0))
    driver.tell(ResumeAsked(11.0))
    driver.tell(TimePassed(14.0))
    assert driver.state.verdict is None
    driver.tell(TimePassed(15.0))
    assert driver.state.verdict is not None and driver.state.verdict.ending is Ending.TIMED_OUT
    assert driver.state.active_seconds(15.0) == pytest.approx(5.0)


def test_at_the_timeout_items_in_flight_are_interrupted() -> None:
    """TIMEOUT_ERROR comes in time, whatever the items do; what they were stays open."""
    driver = Driver(1, deadline=5.0)
    (lease,) = driver.join()
    driver.tell(TimePassed(5.0))
    assert driver.wake_at == 5.5
    assert InterruptNodes() in driver.tell(TimePassed(5.5))
    driver.tell(HolderLost(5.5, "n/1", OutcomeBlock([], []), "interrupted", replaced=False))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.code is ErrorCode.TIMEOUT_ERROR
    assert driver.state.ledger.open == 1
    assert lease.lease_id


def test_a_drain_waits_for_items_in_flight_and_then_interrupts() -> None:
    """drainSeconds is the patience; the second signal has none."""
    driver = Driver(5, drain=30.0)
    driver.join()
    driver.tell(StopAsked(1.0, "SIGTERM"))
    assert driver.wake_at == 31.0
    assert InterruptNodes() in driver.tell(StopAsked(2.0, "SIGTERM", at_once=True))


def test_what_completes_while_draining_completes_the_batch() -> None:
    """A stop that comes too late to stop anything is no interruption."""
    driver = Driver(1)
    (lease,) = driver.join()
    driver.tell(CancelAsked(0.0))
    driver.finish(lease, successes([0]))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.ending is Ending.COMPLETED


def test_without_any_node_left_the_run_ends_resumable() -> None:
    """RESOURCE_ERROR only when nothing can run: with one of two nodes gone the batch goes on."""
    driver = Driver(10, nodes=[("a", 1), ("b", 1)])
    driver.join("a/1", "a")
    driver.join("b/1", "b")
    driver.tell(NodeFailed(1.0, "a", "out of memory"))
    assert driver.state.verdict is None
    driver.tell(NodeFailed(2.0, "b", "out of memory"))
    driver.confirm_saves()
    assert driver.verdict is not None and driver.verdict.code is ErrorCode.RESOURCE_ERROR
    assert driver.state.ledger.open == 10


def test_a_store_that_is_gone_ends_the_run_at_once() -> None:
    """Nothing can be recorded, so nothing more is run."""
    driver = Driver(10)
    driver.join()
    commands = driver.tell(StoreFailed(1.0, ErrorCode.SYSTEM_ERROR, "disk gone"))
    assert commands[0] == InterruptNodes()
    assert driver.verdict is not None and driver.verdict.message == "disk gone"


def test_pending_retries_of_an_earlier_run_keep_their_attempts() -> None:
    """A resume goes on counting where the last run stopped."""
    driver = Driver(2, pending=[PendingAttempt(1, attempts=3, delay=0.0)], retry=NO_WAIT)
    (first,) = driver.join()
    (second,) = driver.finish(first, successes(first.indices))
    by_index = {lease.indices[0]: lease.attempt for lease in (first, second)}
    assert by_index == {0: 1, 1: 4}


def test_a_pending_retry_is_cleared_with_the_segment_that_holds_its_outcome() -> None:
    """Never before: a crash in between must find the attempts used up."""
    driver = Driver(3, retry=RetryPolicy(initial_delay=100.0), checkpoint_interval=2)
    (lease,) = driver.join()
    dealt = driver.finish(lease, failure(0))
    while dealt:
        (lease,) = dealt
        dealt = driver.finish(lease, successes(lease.indices))
    assert [(one.index, one.due is not None) for one in driver.saves[0].retries] == [(0, True)]
    driver.now = 100.0
    (again,) = leases(driver.tell(TimePassed(100.0)))
    driver.finish(again, successes([0], attempt=2))
    last = driver.saves[-1]
    assert [(one.index, one.due) for one in last.retries] == [(0, None)]
    assert [segment.succeeded for segment in last.segments] == [1]


def test_no_slices_are_issued_while_the_buffer_is_full() -> None:
    """Outcomes wait for the disk in bounded memory; nothing is dropped."""
    driver = Driver(4, checkpoint_interval=1)
    (lease,) = driver.join()
    block = successes([0])
    block.successes[0].results = b'["' + b"x" * (64 << 20) + b'"]'
    assert driver.finish(lease, block) == []
    assert any(isinstance(command, SaveCheckpoint) for command in driver.commands)
    assert leases(driver.confirm_saves())


def test_a_suspect_never_runs_where_it_could_kill_more_than_a_worker() -> None:
    """On mixed nodes an item that killed its process waits for a process, not for a thread."""
    pending = [PendingAttempt(0, attempts=1, alone=True)]
    driver = Driver(1, nodes=[("t", 2), ("p", 1)], isolating=["p"], pending=pending)
    assert driver.join("t/1", "t", 2, shared=True) == []
    (lease,) = driver.join("p/1", "p")
    assert list(lease.indices) == [0]


def test_a_suspect_runs_anywhere_once_no_process_is_left() -> None:
    """The batch must be able to end."""
    pending = [PendingAttempt(0, attempts=1, alone=True)]
    driver = Driver(1, nodes=[("t", 2), ("p", 1)], isolating=["p"], pending=pending)
    driver.join("t/1", "t", 2, shared=True)
    assert leases(driver.tell(NodeFailed(0.0, "p", "gone")))


def test_a_full_buffer_is_saved_before_its_segment_is_full() -> None:
    """While it is full nothing is dealt, so waiting for the count would be waiting for the clock."""
    driver = Driver(10, checkpoint_interval=1000)
    (lease,) = driver.join()
    block = successes([0])
    block.successes[0].results = b'["' + b"x" * (64 << 20) + b'"]'
    assert driver.finish(lease, block) == []
    assert [segment.succeeded for segment in driver.saves[-1].segments] == [1]
    assert leases(driver.confirm_saves())


def test_items_that_ask_for_later_again_and_again_do_not_starve_fresh_ones() -> None:
    """Retries and fresh items take turns."""
    driver = Driver(40, retry=NO_WAIT)
    (lease,) = driver.join()
    for _ in range(300):
        later = [i for i in lease.indices if i < 20]
        block = successes([i for i in lease.indices if i >= 20], lease.attempt)
        block.failures += [one for i in later for one in failure(i, retry_after=0.0).failures]
        driver.now += 0.001
        (lease,) = driver.finish(lease, block)
        if driver.state.ledger.succeeded == 20:
            break
    assert driver.state.ledger.succeeded == 20


def test_who_has_waited_longest_is_retried_first() -> None:
    """A small group of late attempts is not passed over by a large group of early ones."""
    pending = [
        PendingAttempt(0, attempts=2),
        *(PendingAttempt(i, attempts=1, delay=0.1) for i in range(1, 30)),
    ]
    driver = Driver(30, pending=pending)
    driver.now = 1.0
    (lease,) = driver.join()
    assert (list(lease.indices), lease.attempt) == ([0], 3)


def test_retries_leave_in_groups_also_when_several_workers_compete() -> None:
    """The fair share of what is left counts what waits for a retry."""
    driver = Driver(400, nodes=[("n", 2)], pending=[PendingAttempt(i, attempts=1) for i in range(400)])
    driver.now = 1.0
    (mine,) = driver.join("n/1")
    driver.join("n/2")
    for _ in range(6):
        driver.now += 0.0001
        (mine,) = driver.finish(mine, successes(mine.indices, 2), "n/1")
    assert len(mine.indices) >= 16


def test_a_final_failure_in_flight_at_a_stop_is_recorded_below_the_limit() -> None:
    """Only what follows the deciding failure stays unrecorded, not what a drain brings in."""
    driver = Driver(
        5,
        strategy=ErrorStrategy.STOP_ON_TOLERANCE,
        tolerated_failure_count=3,
        retry=RetryPolicy(max_retries=0),
    )
    (lease,) = driver.join()
    driver.tell(StopAsked(0.0, "SIGTERM"))
    driver.finish(lease, failure(0))
    assert driver.state.ledger.failed == 1


def test_a_store_failure_during_a_pause_does_not_count_the_pause() -> None:
    """Active time excludes pauses on every way out, and ends with the run."""
    driver = Driver(10)
    driver.join()
    driver.tell(PauseAsked(1.0))
    driver.tell(StoreFailed(3600.0, ErrorCode.SYSTEM_ERROR, "gone"))
    assert driver.state.active_seconds(4000.0) == pytest.approx(1.0)


def test_what_ended_the_batch_is_listed_with_its_path() -> None:
    """Every final failure of the run, as `$.batchItems[i]: type: message`."""
    driver = Driver(2, strategy=ErrorStrategy.FAIL_FAST, retry=RetryPolicy(max_retries=0))
    (lease,) = driver.join()
    driver.finish(lease, failure(0))
    driver.confirm_saves()
    assert driver.verdict is not None
    assert [str(cause) for cause in driver.verdict.causes] == ["$.batchItems[0]: Boom: boom"]


def test_a_chunk_processor_gets_whole_chunks() -> None:
    """Slow start begins with one chunk, and slices hold whole ones while there are enough items."""
    driver = Driver(40, unit=8)
    (first,) = driver.join()
    (second,) = driver.finish(first, successes(first.indices))
    assert (len(first.indices), len(second.indices)) == (8, 16)


def test_the_percentage_is_floored_exactly() -> None:
    """floor(10,000 * 0.57 / 100) is 57, though the float product is a hair below 5,700."""
    configuration = ProcessingConfiguration(processor="p", tolerated_failure_percentage=0.57)
    assert configuration.tolerated_failures(10_000) == 57
