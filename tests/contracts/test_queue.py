"""What the queue of every store does."""

from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest
from tests.services.batches import new_execution, zeros
from tests.services.stores import edit

from everyitem.adapters.stores.opening import open_inbox, open_queue, open_store
from everyitem.model.allocation import AllocatedNode, Allocation
from everyitem.model.configuration import Priority
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit
from everyitem.ports.inbox import EventIsKnown, IncomingEvent, ResourcesGiven
from everyitem.ports.queue import (
    Action,
    BatchQueue,
    Demand,
    NewTicket,
    QueueIsFull,
    ServiceRecord,
    Ticket,
    Wish,
)
from everyitem.ports.store import Store

DEMAND = Demand(least=1, most=10, millicores=50, memory_mb=120)
TICKET = NewTicket(priority=Priority.NORMAL, demand=DEMAND, actor="ada", parallelism=5)
SUBMIT = Action(at=1.5, actor="ada", action="submit", detail=b'{"items":3}')


@pytest.fixture
def queue(store_url: str) -> Iterator[BatchQueue]:
    with closing(open_queue(store_url)) as opened:
        yield opened


@pytest.fixture
def store(store_url: str, queue: BatchQueue) -> Iterator[Store]:
    with closing(open_store(store_url)) as opened:
        yield opened


@pytest.fixture
def enqueue(queue: BatchQueue) -> Callable[..., Ticket]:
    """Puts a batch of three items into the queue."""

    def enqueue(batch_id: str = "b", ticket: NewTicket = TICKET, room: int = 10) -> Ticket:
        items = zeros(3)
        key = queue.enqueue(new_execution(items, batch_id), items, ticket, SUBMIT, room=room)
        assert key is not None
        found = queue.ticket(key)
        assert found is not None
        return found

    return enqueue


def service(name: str) -> ServiceRecord:
    return ServiceRecord(service_id=name, host="h", pid=1, millicores=2000, memory_mb=1000, batches=4)


def finish(store: Store, ticket: Ticket, status: ExecutionStatus = ExecutionStatus.COMPLETED) -> None:
    """A run of the execution, from its claim to its end."""
    ownership = store.claim(ticket.execution_key)
    assert ownership is not None
    ownership.commit(Commit(status=ExecutionStatus.RUNNING))
    ownership.commit(Commit(status=status, response=b"{}"))
    ownership.release()


def test_an_enqueued_batch_waits_unowned_with_its_items_and_who_brought_it(queue, store, enqueue):
    """All of it or nothing: execution, items, ticket and action are one transaction."""
    ticket = enqueue()
    assert (ticket.priority, ticket.wish, ticket.actor) == (Priority.NORMAL, Wish.RUN, "ada")
    assert (ticket.demand, ticket.parallelism, ticket.runs, ticket.runs_before) == (DEMAND, 5, 0, 0)
    assert ticket.waits
    assert not ticket.has_ended
    record = store.find("b")
    assert (record.status, record.queued, record.held, record.owned) == ("QUEUED", True, False, False)
    assert store.items(record.execution_key).text(range(3)) == b"[0,0,0]"
    assert queue.actions(record.execution_key) == [msgspec.structs.replace(SUBMIT, position=1)]
    assert store.verify(record.execution_key) == []


def test_the_same_execution_is_enqueued_once(queue, enqueue):
    """The second one is told so, and leaves nothing."""
    enqueue()
    items = zeros(3)
    assert queue.enqueue(new_execution(items), items, TICKET, SUBMIT, room=10) is None
    assert len(queue.tickets()) == 1


def test_a_batch_an_event_brings_is_stored_with_the_event(queue, store, store_url):
    """One transaction: the same event brings nothing again, be it another batch's."""
    event = IncomingEvent(source="/s", event_id="1", type="BatchInitialized", batch_id="b")
    items = zeros(3)
    assert queue.enqueue(new_execution(items), items, TICKET, SUBMIT, room=10, event=event) is not None
    with pytest.raises(EventIsKnown):
        queue.enqueue(new_execution(items, "c"), items, TICKET, SUBMIT, room=10, event=event)
    assert store.find("c") is None
    with closing(open_inbox(store_url)) as inbox:
        assert inbox.is_known(event)


def test_what_is_allocated_to_a_batch_is_what_services_are_asked_for(queue, enqueue, store_url):
    """Before it is put in or after that."""
    nodes = (AllocatedNode(node_id="n", slots=3),)
    given = [
        (
            IncomingEvent(source="/s", event_id=batch_id, type="ResourcesAllocated", batch_id=batch_id),
            ResourcesGiven(allocation=Allocation(version=1, nodes=nodes, least=least)),
        )
        for batch_id, least in (("b", None), ("late", 9))
    ]
    ticket = enqueue("b")
    with closing(open_inbox(store_url)) as inbox:
        inbox.receive(given)
    demand = queue.ticket(ticket.execution_key).demand
    assert (demand.least, demand.most) == (1, 3)
    assert (enqueue("late").demand.least, enqueue("late2").demand.most) == (3, 10)


def test_a_full_queue_stores_nothing(queue, store, enqueue):
    """Neither the ticket nor the execution."""
    enqueue("a")
    with pytest.raises(QueueIsFull):
        enqueue("b", room=1)
    assert store.find("b") is None


def test_what_was_admitted_finds_room_in_a_full_queue(queue, store, enqueue):
    """Something was begun for it, a round opened: it is not left half done because others came meanwhile."""
    ticket = enqueue("a")
    finish(store, ticket, ExecutionStatus.FAILED)
    assert queue.remove(ticket.execution_key, number=ticket.number)
    enqueue("b")
    with pytest.raises(QueueIsFull):
        queue.put(ticket.execution_key, TICKET, SUBMIT, room=1)
    assert queue.put(ticket.execution_key, TICKET, SUBMIT, room=None)


def test_of_two_services_one_gets_a_ticket(queue, enqueue):
    """A claim holds while its service lives; the same service may repeat it."""
    ticket = enqueue()
    queue.renew(service("one"))
    queue.renew(service("two"))
    assert queue.claim(ticket, "one")
    assert not queue.claim(ticket, "two")
    assert queue.claim(ticket, "one")
    assert queue.ticket(ticket.execution_key).service_id == "one"


def test_what_a_dead_service_had_is_free(queue, enqueue, store_url):
    """By its process where that can be seen, else when its lease has run out."""
    ticket = enqueue()
    queue.renew(service("one"))
    queue.renew(service("two"))
    assert queue.claim(ticket, "one")
    edit(store_url, "UPDATE services SET pid = 4194999 WHERE service_id = 'one'")
    assert queue.ticket(ticket.execution_key).service_id is None
    edit(store_url, "UPDATE services SET host = 'elsewhere' WHERE service_id = 'one'")
    assert queue.ticket(ticket.execution_key).service_id == "one"
    assert not queue.claim(ticket, "two")
    edit(store_url, "UPDATE services SET expires_at = 1.0 WHERE service_id = 'one'")
    assert [one.service_id for one in queue.services()] == ["two"]
    assert queue.claim(ticket, "two")


def test_what_is_held_or_cancelled_is_claimed_by_nobody(queue, enqueue):
    """Also by a service that looked before it was."""
    ticket = enqueue()
    queue.renew(service("one"))
    assert queue.change(ticket.execution_key, wish=Wish.HOLD)
    assert not queue.claim(ticket, "one")


def test_a_service_that_leaves_gives_everything_back(queue, enqueue):
    """And one that gives back a single ticket keeps the others."""
    first, second = enqueue("a"), enqueue("b")
    queue.renew(service("one"))
    assert queue.claim(first, "one")
    assert queue.claim(second, "one")
    queue.give_back("one", [first.execution_key])
    assert [one.service_id for one in queue.tickets()] == [None, "one"]
    queue.leave("one")
    assert [one.service_id for one in queue.tickets()] == [None, None]
    assert queue.services() == []


def test_a_change_is_written_with_who_made_it(queue, enqueue):
    """What is not named stays; a batch that is not in the queue changes nothing and is told so."""
    ticket = enqueue()
    raised = Action(at=2.0, actor="bob", action="priority")
    assert queue.change(ticket.execution_key, priority=Priority.HIGH, action=raised)
    changed = queue.ticket(ticket.execution_key)
    assert (changed.priority, changed.wish, changed.parallelism) == (Priority.HIGH, Wish.RUN, 5)
    assert [one.actor for one in queue.actions(ticket.execution_key)] == ["ada", "bob"]
    assert [one.actor for one in queue.actions(ticket.execution_key, after=1)] == ["bob"]
    assert queue.remove(ticket.execution_key, number=ticket.number)
    assert not queue.change(ticket.execution_key, priority=Priority.LOW, action=raised)
    assert len(queue.actions(ticket.execution_key)) == 2


@pytest.mark.parametrize(
    "end", [ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]
)
def test_a_ticket_has_ended_with_a_run_since_it_was_put_in(queue, store, enqueue, end):
    """Whoever carried it out; then the record is in no queue, even before the ticket is taken out."""
    ticket = enqueue()
    finish(store, ticket, end)
    assert queue.ticket(ticket.execution_key).has_ended
    assert not store.find("b").queued


def test_what_failed_before_it_was_put_in_again_has_not_ended(queue, store, enqueue):
    """The run that failed was another one's."""
    ticket = enqueue()
    finish(store, ticket, ExecutionStatus.FAILED)
    assert queue.remove(ticket.execution_key, number=ticket.number)
    assert queue.put(ticket.execution_key, TICKET, SUBMIT, room=10)
    again = queue.ticket(ticket.execution_key)
    assert not again.has_ended
    assert again.number > ticket.number
    assert not queue.remove(ticket.execution_key, number=ticket.number)
    assert not queue.put(ticket.execution_key, TICKET, SUBMIT, room=10)


def test_one_that_is_carried_out_does_not_wait(queue, store, enqueue):
    """By whatever process: a service leaves it alone."""
    ticket = enqueue()
    ownership = store.claim(ticket.execution_key)
    owned = queue.ticket(ticket.execution_key)
    assert owned.owned
    assert not owned.waits
    ownership.release()
    assert queue.ticket(ticket.execution_key).waits


def test_pages_are_newest_first_and_complete(queue, enqueue):
    """Each behind the last key of the one before."""
    keys = [enqueue(name).execution_key for name in "abcde"]
    first = queue.page(before=None, limit=3)
    second = queue.page(before=first[-1].execution_key, limit=3)
    assert [one.execution_key for one in [*first, *second]] == keys[::-1]


def test_the_length_of_the_input_is_known(queue, enqueue):
    """Without reading it."""
    assert queue.input_bytes(enqueue().execution_key) == len(b"[0,0,0]")
