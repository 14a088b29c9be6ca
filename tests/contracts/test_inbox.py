"""What every store does with events that come in, and with the deferrals they are about."""

from contextlib import closing

import pytest
from tests.contracts.test_stores import accept, successes
from tests.services.stores import edit

from everyitem import compose
from everyitem.adapters.stores import open_store
from everyitem.model.allocation import AllocatedNode, Allocation
from everyitem.model.errors import StoreDamaged
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit
from everyitem.ports.completions import Completion, ToldFailure
from everyitem.ports.deferral import Deferral
from everyitem.ports.inbox import BatchKnown, IncomingEvent, ItemCompleted, ResourcesGiven

NO = ToldFailure("ITEM_ERROR", "Declined", "no cover", retryable=True)


@pytest.fixture
def inbox(store_url):
    opened = compose.open_inbox(store_url)
    yield opened
    opened.close()


@pytest.fixture
def store(store_url):
    opened = open_store(store_url)
    yield opened
    opened.close()


def event(event_id, item_id="3", attempt=1, *, batch_id="b", **more):
    """An event about an attempt of an item."""
    return (
        IncomingEvent(source="/s", event_id=event_id, type="ItemProcessingCompleted", batch_id=batch_id),
        ItemCompleted(item_id=item_id, attempt=attempt, **more),
    )


def told(ownership, limit=100):
    """What the owner hears, without the store's own numbers."""
    return [(one.index, one.attempt, one.result, one.failure) for one in ownership.completions(limit)]


def defer(ownership, index, attempt=1):
    ownership.commit(Commit(deferrals_set=[Deferral(index, attempt, 99.0, 5, str(index))]))


def test_an_event_counts_once_by_its_source_and_id(inbox, store):
    """Also within one delivery; the same id of another source is another event."""
    accept(store)
    assert inbox.receive([event("1"), event("2", "4"), event("1")]) == [True, True, False]
    assert inbox.receive([event("2", "4")]) == [False]
    other = IncomingEvent(source="/t", event_id="1", type="ItemProcessingCompleted", batch_id="b")
    assert inbox.receive([(other, ItemCompleted(item_id="5", attempt=1))]) == [True]


def test_an_event_waits_for_its_deferral_and_is_handed_over_once(inbox, store):
    """Whichever comes first, the batch included; the text of the result is kept to the last digit."""
    inbox.receive([event("1", result=b'{"v":1.50}'), event("2", "4", failure=NO)])
    _, ownership = accept(store)
    assert told(ownership) == []
    defer(ownership, 3)
    defer(ownership, 4)
    assert told(ownership, limit=1) == [(3, 1, b'{"v":1.50}', None)]
    assert told(ownership) == [(4, 1, b"null", NO)]
    assert told(ownership) == []


def test_an_event_is_about_one_attempt_and_the_first_word_counts(inbox, store):
    """An event of an attempt that is over completes no later one."""
    _, ownership = accept(store)
    inbox.receive(
        [event("1", attempt=1), event("2", attempt=2, result=b"2"), event("3", attempt=2, result=b"3")]
    )
    defer(ownership, 3, attempt=2)
    assert told(ownership) == [(3, 2, b"2", None)]


def test_what_is_said_goes_with_the_deferral(inbox, store, store_url):
    """And with the outcome, in one transaction; until then a new owner hears it again."""
    record, ownership = accept(store)
    defer(ownership, 3)
    inbox.receive([event("1", result=b"6")])
    assert told(ownership) == [(3, 1, b"6", None)]
    ownership.release(ExecutionStatus.INTERRUPTED)
    again = store.claim(record.execution_key)
    assert again is not None
    assert [(one.index, one.attempt) for one in store.recorded(record.execution_key).deferrals] == [(3, 1)]
    assert told(again) == [(3, 1, b"6", None)]
    assert store.find("b").deferred == 1
    again.commit(Commit(segments=[successes(3, 1)], deferrals_cleared=[(3, 1)]))
    assert store.deferrals(record.execution_key) == []
    assert edit(store_url, "SELECT count(*) FROM completions") == [(0,)]
    assert told(again) == []


def test_an_item_may_be_deferred_again_by_the_commit_that_ends_its_deferral(inbox, store):
    """The end of one attempt and the deferral of the next may share a transaction."""
    record, ownership = accept(store)
    defer(ownership, 3)
    ownership.commit(Commit(deferrals_cleared=[(3, 1)], deferrals_set=[Deferral(3, 2, 99.0, 5, "3")]))
    assert [(one.index, one.attempt) for one in store.deferrals(record.execution_key)] == [(3, 2)]


def test_an_event_about_another_execution_is_not_heard(inbox, store):
    """It names its execution, or means the latest."""
    _, ownership = accept(store)
    defer(ownership, 3)
    inbox.receive([event("1", execution=2), event("2", batch_id="other")])
    assert told(ownership) == []
    assert isinstance(ownership.completions(1), list)


def test_a_failure_nobody_wrote_is_damage(inbox, store, store_url):
    """Never taken for a success."""
    _, ownership = accept(store)
    defer(ownership, 3)
    inbox.receive([event("1", failure=NO)])
    edit(store_url, "UPDATE completions SET body = ?", b"{")
    with pytest.raises(Exception, match="what an event said of an item cannot be read"):
        ownership.completions(10)
    assert Completion(1, 3, 1).failure is None


def allocated(event_id, version, slots=3, *, batch_id="b", **more):
    """An event that allocates one node."""
    nodes = (AllocatedNode(node_id="n", slots=slots),)
    return (
        IncomingEvent(source="/s", event_id=event_id, type="ResourcesAllocated", batch_id=batch_id),
        ResourcesGiven(allocation=Allocation(version=version, nodes=nodes), **more),
    )


def test_the_highest_version_of_an_allocation_counts(inbox, store):
    """Whichever comes last; one that comes again is known."""
    _, ownership = accept(store)
    assert ownership.allocation() is None
    assert inbox.receive([allocated("2", 2, slots=20), allocated("1", 1)]) == [True, True]
    assert inbox.receive([allocated("2", 2, slots=20), allocated("3", 1)]) == [False, True]
    found = ownership.allocation()
    assert (found.version, found.slots) == (2, 20)


def test_an_allocation_waits_for_its_batch_and_is_there_for_every_run(inbox, store):
    """It may come before the batch; who takes over finds it."""
    inbox.receive([allocated("1", 1, slots=7)])
    record, ownership = accept(store)
    assert ownership.allocation().slots == 7
    ownership.release(ExecutionStatus.INTERRUPTED)
    assert store.claim(record.execution_key).allocation().slots == 7


def test_an_allocation_is_about_one_execution(inbox, store):
    """The one it names, or the latest; never a finished one."""
    _, ownership = accept(store)
    inbox.receive([allocated("1", 1, execution=2), allocated("2", 1, batch_id="other")])
    assert ownership.allocation() is None
    ownership.commit(Commit(status=ExecutionStatus.RUNNING))
    ownership.commit(Commit(status=ExecutionStatus.COMPLETED, response=b"{}"))
    inbox.receive([allocated("3", 1)])
    assert ownership.allocation() is None


def test_an_allocation_nobody_wrote_is_damage(inbox, store, store_url):
    """Never taken for none."""
    _, ownership = accept(store)
    inbox.receive([allocated("1", 1)])
    edit(store_url, "UPDATE allocations SET body = ?", b"{")
    with pytest.raises(StoreDamaged, match="cannot be read"):
        ownership.allocation()


def test_an_event_without_an_effect_is_remembered(inbox):
    """It brought a batch that was here already."""
    known = IncomingEvent(source="/s", event_id="1", type="BatchInitialized", batch_id="b")
    assert not inbox.is_known(known)
    assert inbox.receive([(known, BatchKnown())]) == [True]
    assert inbox.is_known(known)


def test_old_events_nobody_waits_for_are_given_up(inbox, store, store_url):
    """Their batch has not come, or had finished long before; those of others stay, and what is young."""
    _, ownership = accept(store)
    defer(ownership, 3)
    inbox.receive([event("1"), event("2", batch_id="never"), allocated("4", 1, batch_id="never")])
    edit(store_url, "UPDATE incoming_events SET received_at = 10.0")
    inbox.receive([event("3", batch_id="late")])
    with closing(compose.open_retention(store_url)) as retention:
        assert retention.forget_events(received_before=10.0) == 0
        assert retention.forget_events(received_before=20.0) == 2
    assert told(ownership) == [(3, 1, b"null", None)]
    assert {one for (one,) in edit(store_url, "SELECT batch_id FROM completions")} == {"b", "late"}
    assert edit(store_url, "SELECT count(*) FROM allocations")[0][0] == 0
    assert inbox.receive([event("1"), event("2", batch_id="never")]) == [False, True]
    ownership.commit(Commit(status=ExecutionStatus.RUNNING))
    ownership.release(ExecutionStatus.COMPLETED)
    with closing(compose.open_retention(store_url)) as retention:
        retention.forget_events(received_before=20.0)
    assert inbox.receive([event("1")]) == [False]
    edit(store_url, "UPDATE execution_states SET finished_at = 15.0")
    with closing(compose.open_retention(store_url)) as retention:
        assert retention.forget_events(received_before=20.0) == 1
