"""What every store does with the events that are still to be published."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.contracts.test_stores import accept
from tests.services.stores import edit

from everyitem import compose
from everyitem.adapters.stores import open_store
from everyitem.ports.checkpoint import Commit
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import Outlet, ParkedEvent
from everyitem.ports.store import Ownership, Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(open_store(store_url)) as opened:
        yield opened


@pytest.fixture
def outlet(store: Store, store_url: str) -> Iterator[Outlet]:
    with closing(compose.open_outlet(store_url)) as opened:
        yield opened


def publish(ownership: Ownership, *ids: str) -> None:
    ownership.commit(Commit(events=[OutboxEvent(one, "T", "b", 5.0, b'{"a":1.50}') for one in ids]))


def ids(outlet: Outlet, limit: int = 100, **more: object) -> list[str]:
    return [one.event.event_id for one in outlet.unsent(limit, **more)]  # type: ignore[arg-type]


def test_events_wait_until_they_are_sent(store: Store, outlet: Outlet) -> None:
    """In the order they were written, with every byte of their data."""
    _, ownership = accept(store)
    publish(ownership, "1", "2")
    publish(ownership, "3")
    first, second, third = outlet.unsent(100)
    assert (first.batch_id, first.event.event_id, first.event.data) == ("b", "1", b'{"a":1.50}')
    assert ids(outlet, 2) == ["1", "2"]
    assert (outlet.backlog().count, outlet.backlog().oldest) == (3, 5.0)
    outlet.sent([first.event.position, third.event.position])
    assert ids(outlet) == ["2"]
    outlet.sent([second.event.position])
    assert outlet.backlog().count == 0


def test_some_executions_may_be_left_out(store: Store, outlet: Outlet) -> None:
    """Those that rest."""
    record, ownership = accept(store)
    _, other = accept(store, batch_id="other")
    publish(ownership, "1")
    publish(other, "2")
    assert ids(outlet, without=[record.execution_key]) == ["2"]


def test_what_appears_late_is_not_passed_over(store: Store, outlet: Outlet, store_url: str) -> None:
    """Positions are given out before transactions commit: a lower one may appear after a higher was sent."""
    _, ownership = accept(store)
    publish(ownership, "1", "2", "3")
    late = outlet.unsent(100)[0].event.position
    edit(store_url, "UPDATE outbox SET sent_at = 1 WHERE position = ?", late)
    outlet.sent([one.event.position for one in outlet.unsent(100)])
    edit(store_url, "UPDATE outbox SET sent_at = NULL WHERE position = ?", late)
    assert ids(outlet) == ["1"]


def test_a_parked_event_is_out_of_the_way_until_somebody_offers_it_again(
    store: Store, outlet: Outlet
) -> None:
    """Neither unsent nor lost."""
    _, ownership = accept(store)
    publish(ownership, "1", "2")
    outlet.park(outlet.unsent(1)[0].event.position, "410 gone")
    assert (ids(outlet), outlet.backlog().count) == (["2"], 1)
    assert outlet.parked(20) == [ParkedEvent("1", "410 gone")]
    assert outlet.parked(0) == []
    assert outlet.unpark("nobody") == 0
    assert outlet.unpark("b") == 1
    assert (ids(outlet), outlet.parked(20)) == (["1", "2"], [])


def test_one_at_a_time_publishes(outlet: Outlet, store_url: str) -> None:
    """Until its time is over, or it gives way."""
    assert outlet.claim("me", 15.0)
    assert outlet.claim("me", 15.0)
    with closing(compose.open_outlet(store_url)) as other:
        assert not other.claim("you", 15.0)
        outlet.give_back("me")
        assert other.claim("you", -1.0)
        assert outlet.claim("me", 15.0)
        other.give_back("you")
        assert not other.claim("you", 15.0)
