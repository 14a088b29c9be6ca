"""F18: events whose positions are taken before the commit; readers of an execution skip none of them."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from tests.services.batches import created
from tests.services.postgres import PostgresServer

from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.relational.database import Database
from everyitem.adapters.stores.relational.ownership import TableOwnership
from everyitem.model.errors import OwnershipLost
from everyitem.model.items import InMemoryItems
from everyitem.ports.checkpoint import Commit
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.store import Ownership, Store

pytestmark = pytest.mark.service

ITEMS = InMemoryItems(b"[0]", named=False)


class Stepped:
    """An ownership's connection whose statements are carried out one by one, when they are let."""

    def __init__(self, ownership: Any) -> None:
        self.ownership: Ownership = ownership
        self._inner = ownership._connection
        ownership._connection = self
        self.dialect = self._inner.dialect
        self.note_size, self.close, self.reading = (
            self._inner.note_size,
            self._inner.close,
            self._inner.reading,
        )
        self._may, self._did = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def begin(self, commit: Commit) -> None:
        """Begin a commit; it stands still before its first statement."""
        self._thread = threading.Thread(target=self._commit, args=(commit,), daemon=True)
        self._thread.start()

    def step(self) -> bool:
        """Let one statement happen; False when the commit is over."""
        self._may.release()
        self._did.acquire()
        return self._thread is not None

    def release(self) -> None:
        """Give the ownership back, without steps."""
        self.ownership._connection = self._inner  # type: ignore[attr-defined]
        self.ownership.release()

    def _commit(self, commit: Commit) -> None:
        try:
            self.ownership.commit(commit)
        finally:
            self._thread = None
            self._did.release()

    @contextmanager
    def writing(self) -> Iterator[Database]:
        self._may.acquire()
        with self._inner.writing() as database:
            yield _Stepper(database, self)
            # what follows is the COMMIT
            self.pause()

    def pause(self) -> None:
        """The statement before this one is done; wait for the next."""
        self._did.release()
        self._may.acquire()


class _Stepper:
    def __init__(self, database: Database, stepped: Stepped) -> None:
        self._database, self._stepped = database, stepped

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Any:
        self._stepped.pause()
        return self._database.execute(statement, values)


def accept(store: Store, batch_id: str) -> tuple[int, Ownership]:
    record, ownership = created(store, ITEMS, batch_id)
    return record.execution_key, ownership


class Follower:
    """Reads events behind the last position it has seen."""

    def __init__(self, read: Callable[[int], Sequence[tuple[int, str]]]) -> None:
        self._read, self._after = read, 0
        self.seen: list[str] = []

    def look(self) -> None:
        for position, event_id in self._read(self._after):
            assert position > self._after
            self._after = position
            self.seen.append(event_id)


class Relay:
    """Takes the events of all executions, choosing by whether they were sent."""

    def __init__(self, store: Any) -> None:
        self._connection = store._connection
        self.seen: list[str] = []

    def look(self) -> None:
        with self._connection.writing() as database:
            rows = database.execute(
                "UPDATE outbox SET sent_at = 1.0 WHERE sent_at IS NULL RETURNING position, event_id"
            ).fetchall()
        self.seen += [event_id for _, event_id in sorted(rows)]


@pytest.fixture
def store(postgres: PostgresServer, store_name: str) -> Iterator[Store]:
    opened = open_store(f"{postgres.url}?schema={store_name}")
    yield opened
    opened.close()


def of(store: Store, key: int) -> Callable[[int], Sequence[tuple[int, str]]]:
    """What the store tells of one execution's events."""
    return lambda after: [(event.position, event.event_id) for event in store.events(key, after)]


def of_all(store: Any) -> Callable[[int], Sequence[tuple[int, str]]]:
    """The events of all executions behind a position, which is how they must not be read."""

    def read(after: int) -> Sequence[tuple[int, str]]:
        query = "SELECT position, event_id FROM outbox WHERE position > ? ORDER BY position"
        with store._connection.reading() as database:
            return database.execute(query, (after,)).fetchall()  # type: ignore[no-any-return]

    return read


@pytest.mark.parametrize(
    "interleavings", [1000, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_no_interleaving_of_commits_hides_an_event(store: Store, interleavings: int) -> None:
    """Two executions commit in any order, readers look at any moment: each sees every event once, in order.

    One that reads across executions by position misses some: so there were interleavings that could hide one.
    """
    chance = random.Random(18)
    accepted = [accept(store, name) for name in ("one", "two")]
    for _, ownership in accepted:
        ownership.commit(Commit())
    writers = [Stepped(ownership) for _, ownership in accepted]
    followers = [Follower(of(store, key)) for key, _ in accepted]
    naive, relay = Follower(of_all(store)), Relay(store)
    expected: list[list[str]] = [[], []]
    for number in range(interleavings):
        for writer, written in zip(writers, expected, strict=True):
            names = [f"{len(written) + part}-{number}" for part in range(chance.randint(1, 3))]
            written.extend(names)
            writer.begin(Commit(events=[OutboxEvent(name, "T", "b", 1.0, b"{}") for name in names]))
        running = list(writers)
        while running:
            writer = chance.choice(running)
            if not writer.step():
                running.remove(writer)
            if chance.random() < 0.3:
                chance.choice([*followers, naive, relay]).look()
    for reader in (*followers, naive, relay):
        reader.look()
    assert [follower.seen for follower in followers] == expected
    everything = sorted(expected[0] + expected[1])
    assert sorted(relay.seen) == everything
    assert len(naive.seen) < len(everything)
    for writer in writers:
        writer.release()


def test_a_stale_owner_waits_for_the_transaction_of_the_one_in_force(store: Store) -> None:
    """Within one execution commits never overlap: the second waits for the row, and is refused."""
    key, ownership = accept(store, "b")
    ownership.commit(Commit())
    stale = TableOwnership(store._connect(False), key, token=1, chain=ownership._chain)  # type: ignore[attr-defined]
    stale.renew(None)
    # both believe in the same count of writes
    ownership._transactions._position = None  # type: ignore[attr-defined]
    first = Stepped(ownership)
    first.begin(Commit(events=[OutboxEvent("first", "T", "b", 1.0, b"{}")]))
    assert first.step()  # BEGIN
    assert first.step()  # the proof of ownership
    second = threading.Thread(target=lambda: refused.append(refusal(stale)))
    refused: list[str] = []
    second.start()
    second.join(0.3)
    assert second.is_alive()
    while first.step():
        pass
    second.join(30)
    assert "replaced" in refused[0]
    assert [event.event_id for event in store.events(key)] == ["first"]
    first.release()


def refusal(ownership: Ownership) -> str:
    """Why a commit was refused."""
    with pytest.raises(OwnershipLost) as refused:
        ownership.commit(Commit(events=[OutboxEvent("stale", "T", "b", 1.0, b"{}")]))
    return str(refused.value)
