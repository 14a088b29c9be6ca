"""F15, on the level of statements: the way to the server is cut, and nothing is done twice or lost."""

from collections.abc import Iterator

import pytest
from tests.faults.rigs.proxy import Proxy
from tests.services.batches import created, new_execution, zeros
from tests.services.postgres import PostgresServer
from tests.services.stores import edit, expire_lease

from everyitem.adapters.stores import liveness, open_store
from everyitem.adapters.stores.postgres import connection
from everyitem.model.errors import ErrorCode, OwnershipLost, StoreError
from everyitem.model.outcome import Failure, Successes
from everyitem.ports.checkpoint import Commit, Counters, PendingRetry, SegmentDraft
from everyitem.ports.control import ControlKind
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.store import Ownership, Store

pytestmark = pytest.mark.service

#: More requests than any call makes, connecting included.
MOST = 60


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def url(postgres: PostgresServer, proxy: Proxy, store_name: str) -> str:
    """The store, by way of the proxy."""
    return f"{postgres.url_at(proxy.port)}?connect_timeout=30&schema={store_name}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


ITEMS = zeros(200)


def accept(store: Store) -> tuple[int, Ownership]:
    record, ownership = created(store, ITEMS)
    return record.execution_key, ownership


def full_commit(number: int) -> Commit:
    """A commit that touches every table; the nth one records items 4n to 4n + 3."""
    first = 4 * number
    failure = Failure(first + 3, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
    successes = Successes([(first, 3)], 1, [1] * 3, b"[1,2,3]")
    return Commit(
        segments=[SegmentDraft([successes], []), SegmentDraft([], [failure])],
        failed=[FailedItem(first + 3, str(first + 3), 1, "ITEM_ERROR", "E", "m", 0.0)],
        retries_set=[PendingRetry(199, 1, 1.0)],
        retries_cleared=[198],
        counters=Counters(succeeded=3 * number + 3, failed=number + 1, checkpoints=2 * number + 2),
        events=[OutboxEvent(f"e{number}", "CheckpointCreated", "b", 1.0, b"{}")],
    )


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_that_was_cut_anywhere_can_be_repeated(proxy: Proxy, store: Store, after: bool) -> None:
    """Before any request, or before its answer, COMMIT's included: the repeated call records it once."""
    key, ownership = accept(store)
    ownership.commit(full_commit(0))
    cuts = 0
    for request in range(1, MOST):
        commit = full_commit(request)
        proxy.fail_at(request, after=after)
        try:
            last = ownership.commit(commit)
        except StoreError:
            cuts += 1
            last = ownership.commit(commit)
        assert last == 2 * request + 2
        if proxy.is_armed:
            break
    proxy.disarm()
    # where the answer to COMMIT is lost, the call itself finds out that it happened
    assert cuts >= 7
    assert store.recorded(key).last_sequence == last
    assert [event.event_id for event in store.events(key)] == [f"e{n}" for n in range(request + 1)]
    assert store.verify(key) == []


@pytest.mark.parametrize("after", [False, True])
def test_a_claim_that_was_cut_anywhere_can_be_repeated(proxy: Proxy, store: Store, after: bool) -> None:
    """Whoever asks again for what he got without seeing it has it, at once; the token grows by one."""
    key, ownership = accept(store)
    ownership.release()
    cuts = 0
    for request in range(1, MOST):
        proxy.fail_at(request, after=after)
        try:
            claimed = store.claim(key)
        except StoreError:
            cuts += 1
            claimed = store.claim(key)
        assert claimed is not None
        armed = proxy.is_armed
        proxy.disarm()
        assert claimed.token == request + 1
        claimed.commit(Commit())
        claimed.release()
        if armed:
            break
    assert cuts >= 4


@pytest.mark.parametrize("after", [False, True])
def test_a_creation_that_was_cut_anywhere_can_be_repeated(proxy: Proxy, store: Store, after: bool) -> None:
    """The batch is stored once, with all its items, and belongs to who stored it."""
    cuts = 0
    for request in range(1, MOST):
        proxy.fail_at(request, after=after)
        name = f"b{request}"
        for _ in range(3):
            try:
                created = store.create(new_execution(ITEMS, name), ITEMS)
            except StoreError:
                cuts += 1
            else:
                break
        armed = proxy.is_armed
        proxy.disarm()
        assert created is not None
        record, ownership = created
        ownership.commit(full_commit(0))
        ownership.release()
        assert store.items(record.execution_key).text(range(200)) == ITEMS.text(range(200))
        assert store.verify(record.execution_key) == []
        if armed:
            break
    assert cuts >= 5


def test_requests_taken_by_a_renewal_that_was_cut_come_with_the_next(proxy: Proxy, store: Store) -> None:
    """A cancellation is not lost with the answer to the renewal that took it."""
    key, ownership = accept(store)
    ownership.commit(Commit())
    for request in range(1, 6):
        store.request(key, ControlKind.CANCEL, "me")
        proxy.fail_at(request, after=True)
        heard = []
        for _ in range(2):
            try:
                heard += ownership.renew(None)
            except StoreError:
                continue
        proxy.disarm()
        assert [one.kind for one in heard] == [ControlKind.CANCEL]


def test_a_server_that_never_answers_is_given_up(
    proxy: Proxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server takes and does not answer is an error in the end; then the call can be repeated."""
    key, ownership = accept(store)
    ownership.commit(full_commit(0))
    monkeypatch.setattr(connection, "ANSWER", 0.3)
    commit = full_commit(1)
    proxy.stall()
    with pytest.raises(StoreError, match="wait timeout"):
        ownership.commit(commit)
    proxy.mend()
    monkeypatch.undo()
    assert ownership.commit(commit) == 4
    assert store.verify(key) == []


def test_an_owner_stopped_inside_a_transaction_does_not_keep_its_rows(
    postgres: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the transaction of who went silent in it; the heir waits no longer than a lease."""
    monkeypatch.setattr(connection, "LEASE", 2.0)
    store = open_store(url)
    key, ownership = accept(store)
    ownership.commit(full_commit(0))
    expire_lease(url)
    inside = ownership._connection.writing()
    database = inside.__enter__()
    database.execute("UPDATE execution_states SET owner_writes = owner_writes + 1")
    elsewhere = liveness.ProcessIdentity("elsewhere", "b", 1, "s")
    monkeypatch.setattr("everyitem.adapters.stores.relational.claims.this_process", lambda: elsewhere)
    heir = store.claim(key)
    assert heir is not None
    assert heir.token == ownership.token + 1
    with pytest.raises(StoreError):
        inside.__exit__(None, None, None)
    with pytest.raises(OwnershipLost):
        ownership.commit(full_commit(1))
    heir.commit(full_commit(1))
    assert store.verify(key) == []
    heir.release()
    store.close()


def test_a_session_that_shall_not_wait_for_the_disk_waits_all_the_same(
    postgres: PostgresServer, store: Store
) -> None:
    """`synchronous_commit=off` of a role does not hold here: a checkpoint is on disk when it is said."""
    with store._connection.reading() as database:
        database.session.execute("SET synchronous_commit TO off")
    postgres.sql("ALTER ROLE tester SET synchronous_commit TO off")
    try:
        store._connection.close()
        with store._connection.reading() as database:
            assert database.execute("SHOW synchronous_commit").fetchone() == ("on",)
    finally:
        postgres.sql("ALTER ROLE tester RESET synchronous_commit")


def test_other_defaults_of_a_role_change_nothing(postgres: PostgresServer, url: str) -> None:
    """Isolation levels and search paths a role has by default do not decide how ownership is proved."""
    postgres.sql("ALTER ROLE tester SET default_transaction_isolation TO serializable")
    postgres.sql("ALTER ROLE tester SET search_path TO nowhere")
    try:
        store = open_store(url)
        key, ownership = accept(store)
        ownership.commit(full_commit(0))
        ownership.release()
        assert store.verify(key) == []
        store.close()
    finally:
        postgres.sql("ALTER ROLE tester RESET ALL")
    assert edit(f"{postgres.url}?{url.partition('?')[2]}", "SELECT count(*) FROM segments") == [(2,)]
