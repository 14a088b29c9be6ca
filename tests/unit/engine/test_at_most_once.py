"""The rules of at-most-once delivery, fed to the state machine by hand."""

import pytest
from tests.unit.engine.driver import Driver, failure, leases, revocations, successes

from everyitem.engine.dealer import Dealer
from everyitem.engine.ledger import Ledger
from everyitem.engine.messages import (
    Ending,
    PauseAsked,
    RunSlice,
    SaveCheckpoint,
    SettleAsked,
    StopAsked,
    StoreFailed,
)
from everyitem.engine.retries import RetryHeap
from everyitem.model.configuration import ErrorStrategy
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock
from everyitem.model.retry import RetryPolicy
from everyitem.ports.doubt import Decision, Intent, Settlement
from everyitem.ports.node import HolderJoined, HolderLost, ItemRunsLong, NodeFailed

NO_WAIT = RetryPolicy(max_retries=3, initial_delay=0.0)


def driver(items: int, *, limit: int = 100, **more: object) -> Driver:
    """A driver of an at-most-once execution."""
    return Driver(items, at_most_once=True, in_doubt_limit=limit, **more)


def intents(one: Driver) -> dict[int, int]:
    """(index, attempt) on disk after all saves so far, as a store would hold them."""
    held: dict[int, int] = {}
    for save in one.saves:
        for index in save.intents_cleared:
            held.pop(index, None)
        held.update({intent.index: intent.attempt for intent in save.intents})
    return held


def settlement(index: int, decision: Decision, **more: object) -> SettleAsked:
    """A person's word."""
    return SettleAsked(0.0, Settlement(index, decision, "me@here", 1.0, **more))


def test_a_lease_is_issued_only_when_its_intents_are_durable() -> None:
    """The intent is asked for first; the slice follows its confirmation."""
    one = driver(1)
    assert one.join() == []
    assert intents(one) == {0: 1}
    assert [list(lease.indices) for lease in leases(one.confirm_saves())] == [[0]]


def test_a_lease_whose_intents_are_durable_after_the_batch_timeout_is_not_issued() -> None:
    """A process that was stopped meanwhile may hear of the disk before it hears of the time."""
    one = driver(1, deadline=5.0)
    one.join()
    one.now = 6.0
    assert leases(one.confirm_saves()) == []
    assert intents(one) == {}


def test_an_outcome_and_the_next_intents_share_a_save() -> None:
    """One commit covers what ended and what comes next."""
    one = driver(2)
    one.join()
    (lease,) = leases(one.confirm_saves())
    one.finish(lease, successes([0]))
    save = one.saves[-1]
    assert [intent.index for intent in save.intents] == [1]
    assert save.intents_cleared == [0] and save.segments[0].succeeded == 1


def test_never_more_intents_without_an_outcome_than_the_limit() -> None:
    """However much a queue could run, a crash leaves no more in doubt."""
    one = driver(1000, limit=8)
    one.join(slots=64, shared=True)
    assert len(intents(one)) <= 8
    for _ in range(200):
        issued = leases(one.confirm_saves())
        for lease in issued:
            one.finish(lease, successes(list(lease.indices)))
            assert len(intents(one)) <= 8
    assert one.state.ledger.succeeded > 500


def test_the_last_item_within_the_limit_goes_to_who_idles() -> None:
    """One with the larger share is not refused for what is not there: the item would go back and forth."""
    dealer = Dealer(Ledger(bytearray(8)), RetryHeap(), until_failure=False, unit=2, intent_limit=8)
    dealer.queues.put("n", 0, 7)
    for name in ("n/1", "n/2", "n/3", "n/4"):
        dealer.join(name, "n", 1, shared=True)
        dealer.deal(0.0)
    assert dealer.leased == 7 and dealer.wants_more is False
    dealer.queues.put("n", 7, 8)
    dealer.join("m/1", "m", 8, shared=True)
    (command,) = dealer.deal(0.0)
    assert isinstance(command, RunSlice)
    assert command.holder == "m/1" and list(command.lease.indices) == [7]


def test_a_retry_after_an_exception_needs_an_intent_of_its_own() -> None:
    """An exception the processor raised is a known outcome."""
    one = driver(1, retry=NO_WAIT)
    one.join()
    (lease,) = leases(one.confirm_saves())
    one.finish(lease, failure(0))
    assert intents(one) == {0: 2}
    (again,) = leases(one.confirm_saves())
    assert again.attempt == 2


@pytest.mark.parametrize(
    "unknown",
    [
        Failure(0, 1, ErrorCode.TIMEOUT_ERROR, "ItemTimeout", "late"),
        Failure(0, 1, ErrorCode.SYSTEM_ERROR, "WorkerDied", "killed", alone=True),
    ],
)
def test_a_timeout_or_death_leaves_the_item_in_doubt(unknown: Failure) -> None:
    """It is not retried, and when nothing else is left the run ends with what is in doubt."""
    one = driver(1, retry=NO_WAIT)
    one.join()
    (lease,) = leases(one.confirm_saves())
    assert one.finish(lease, OutcomeBlock([], [unknown])) == []
    one.confirm_saves()
    assert one.verdict is not None and one.verdict.ending is Ending.IN_DOUBT
    assert [doubt.index for doubt in one.verdict.doubts] == [0]
    assert one.verdict.code is ErrorCode.SYSTEM_ERROR
    assert one.state.ledger.open == one.state.ledger.in_doubt == 1


def test_a_result_that_is_none_is_not_worth_a_second_call() -> None:
    """The call came to its end: only exceptions are retried."""
    one = driver(1, retry=NO_WAIT)
    one.join()
    (lease,) = leases(one.confirm_saves())
    unusable = Failure(0, 1, ErrorCode.ITEM_ERROR, "UnusableResult", "a set")
    one.finish(lease, OutcomeBlock([], [unusable]))
    assert one.state.ledger.failed == 1


def test_what_a_lost_worker_had_not_begun_runs_elsewhere() -> None:
    """Only what was begun is in doubt; the rest is given back, and its intent with it."""
    one = driver(8, limit=100)
    one.join(slots=4, shared=True)
    begun, *rest = [index for lease in leases(one.confirm_saves()) for index in lease.indices]
    one.tell(HolderLost(1.0, "n/1", OutcomeBlock(), "died", begun=(begun,)))
    assert one.state.ledger.in_doubt == 1
    assert not intents(one).keys() & set(rest)
    one.confirm_saves()
    one.join("n/2", slots=4, shared=True)
    again = {index for lease in leases(one.confirm_saves()) for index in lease.indices}
    assert again == set(rest)


def test_where_nobody_can_tell_the_whole_lease_is_in_doubt() -> None:
    """A vanished node answers no questions."""
    one = driver(8)
    one.join(slots=4, shared=True)
    issued = leases(one.confirm_saves())
    one.tell(NodeFailed(1.0, "n", "vanished"))
    assert one.state.ledger.in_doubt == sum(len(lease.indices) for lease in issued)


def test_a_lease_whose_intent_is_not_durable_is_no_doubt() -> None:
    """It was never issued: its items are free, whoever is lost."""
    one = driver(3)
    one.join()
    one.tell(HolderLost(1.0, "n/1", OutcomeBlock(), "died", begun=None))
    assert one.state.ledger.in_doubt == 0
    assert leases(one.confirm_saves()) == []
    assert intents(one) == {}


def test_a_stop_takes_unissued_leases_back() -> None:
    """What has not started when a stop comes does not start, and is in nobody's doubt."""
    one = driver(3)
    one.join()
    one.tell(StopAsked(1.0, "SIGTERM"))
    assert leases(one.confirm_saves()) == []
    assert intents(one) == {}
    assert one.verdict is not None and one.verdict.ending is Ending.INTERRUPTED


def test_nothing_is_revoked_from_a_worker_process() -> None:
    """A worker may start an item while its lease is shortened: then it would run twice."""
    one = driver(1000)
    one.join()
    (lease,) = leases(one.confirm_saves())
    one.now = 0.001
    one.finish(lease, successes(list(lease.indices)))
    (lease,) = leases(one.confirm_saves())
    assert revocations(one.tell(ItemRunsLong(1.0, "n/1", lease.lease_id))) == []
    assert revocations(one.tell(PauseAsked(1.0))) == []


def test_a_run_finds_items_in_doubt_and_leaves_them_alone() -> None:
    """An intent without an outcome is never run again by itself."""
    one = driver_with(Intent(0, 1), items=2)
    one.join()
    (lease,) = leases(one.confirm_saves())
    assert list(lease.indices) == [1]
    assert any(intent.doubt for save in one.saves for intent in save.intents)


@pytest.mark.parametrize(
    ("decision", "marks"), [(Decision.SUCCEEDED, (1, 0)), (Decision.FAILED, (0, 1)), (Decision.AGAIN, (0, 0))]
)
def test_a_settlement_is_recorded_with_its_author(decision: Decision, marks: tuple[int, int]) -> None:
    """It goes into a segment with the outcome it stands for, and ends the intent."""
    one = driver_with(Intent(0, 2, "died"), items=2)
    one.tell(settlement(0, decision))
    assert (one.state.ledger.succeeded, one.state.ledger.failed) == marks
    assert one.state.ledger.in_doubt == 0
    (said,) = [said for save in one.saves for segment in save.segments for said in segment.settlements]
    assert (said.by, said.attempt, said.doubt) == ("me@here", 2, "died")
    assert 0 not in intents(one)


def test_what_fails_when_a_batch_was_stopped_already_says_what_it_raised() -> None:
    """FAIL_FAST counts one failure; a second one is in doubt, and whoever settles it learns what is known."""
    one = driver(2, nodes=(("n", 2),), retry=RetryPolicy(max_retries=0), strategy=ErrorStrategy.FAIL_FAST)
    one.join(slots=1)
    one.join("n/2", slots=1)
    first, second = leases(one.confirm_saves())
    one.finish(first, failure(0))
    one.finish(second, failure(1), "n/2")
    one.confirm_saves()
    assert one.verdict is not None and one.verdict.ending is Ending.FAILED_FAST
    assert (one.state.ledger.failed, one.state.ledger.in_doubt) == (1, 1)
    (doubt,) = [intent for save in one.saves for intent in save.intents if intent.doubt]
    assert (doubt.index, doubt.attempt) == (1, 1)
    assert doubt.doubt.startswith("Boom: boom; it failed for good")
    assert intents(one) == {1: 1}


def test_an_item_settled_to_run_again_has_the_next_attempt() -> None:
    """No attempt has a number that was used before."""
    one = driver_with(Intent(0, 2, "died"), items=1, settled=Decision.AGAIN)
    one.join()
    (lease,) = leases(one.confirm_saves())
    assert (list(lease.indices), lease.attempt) == ([0], 3)


def test_a_settlement_of_anything_else_does_nothing() -> None:
    """Only an item in doubt can be settled."""
    one = driver(1)
    one.join()
    one.tell(settlement(0, Decision.SUCCEEDED))
    assert one.state.ledger.succeeded == 0


def test_nothing_of_this_concerns_at_least_once() -> None:
    """Its saves carry no intents and its leases wait for nothing."""
    one = Driver(1)
    (lease,) = one.join()
    one.finish(lease, successes([0]))
    assert all(not save.intents and not save.intents_cleared for save in one.saves)


def test_a_failing_store_leaves_leases_unissued() -> None:
    """Without its intent on disk no item starts."""
    one = driver(1)
    one.join()
    commands = one.tell(StoreFailed(1.0, ErrorCode.SYSTEM_ERROR, "gone"))
    assert leases(commands) == [] and not any(isinstance(command, SaveCheckpoint) for command in commands)


def driver_with(*found: Intent, items: int, settled: Decision | None = None) -> Driver:
    """A driver of an execution that begins with intents on disk."""
    one = driver(items, retry=NO_WAIT, intents=found)
    if settled is not None:
        one.tell(settlement(found[0].index, settled))
    return one


def test_a_lease_wanted_back_before_it_was_issued_is_revoked_once_it_is() -> None:
    """There is nothing to take back before; afterwards a node that idles still wants it."""
    one = driver(2, nodes=(("n", 1), ("m", 1)))
    one.join(shared=True)
    idle = one.tell(HolderJoined(0.0, "m/1", "m", 1, shared=True))
    assert revocations(idle) == []
    issued = one.confirm_saves()
    assert len(leases(issued)) == 2
    assert revocations(issued) == [leases(issued)[-1].lease_id]
