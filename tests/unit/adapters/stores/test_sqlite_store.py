"""What only the SQLite store promises: errors in the middle of things, damage, large inputs."""

import os
import random
import sqlite3
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from tests.services.batches import created

from everyitem.adapters.stores import stored_input
from everyitem.adapters.stores.sqlite import connection, failures
from everyitem.adapters.stores.sqlite.store import SqliteStore
from everyitem.model.errors import ErrorCode, OwnershipLost, StoreDamaged, StoreError, StoreFull
from everyitem.model.items import InMemoryItems, StoredItems
from everyitem.model.outcome import Failure, Successes
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit, Counters, PendingRetry, SegmentDraft
from everyitem.ports.control import ControlKind
from everyitem.ports.execution import NewExecution
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.store import Ownership


class FaultyConnection(sqlite3.Connection):
    """Counts statements, and fails at a given one: before it, or after it was carried out."""

    #: Statements until the fault; negative: none.
    countdown = -1
    after = False
    error = sqlite3.OperationalError("disk I/O error")

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        cls = FaultyConnection
        cls.countdown -= 1
        if cls.countdown == 0 and not cls.after:
            raise cls.error
        result = super().execute(sql, *parameters)
        if cls.countdown == 0:
            raise cls.error
        return result


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FaultyConnection]]:
    """Every connection opened from now on can be made to fail."""
    real = sqlite3.connect

    def connect(*args: object, **options: object) -> sqlite3.Connection:
        return real(*args, factory=FaultyConnection, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(connection.sqlite3, "connect", connect)
    FaultyConnection.countdown = -1
    yield FaultyConnection
    FaultyConnection.countdown = -1
    FaultyConnection.after = False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def accept(store: SqliteStore, text: bytes = b"[0,1,2,3,4,5,6,7,8,9]") -> tuple[int, Ownership]:
    """A stored execution: its key and its ownership."""
    items = InMemoryItems(text, named=False)
    record, ownership = created(store, items)
    return record.execution_key, ownership


def successes(first: int, count: int) -> SegmentDraft:
    results = b"[" + b",".join([b"true"] * count) + b"]"
    return SegmentDraft([Successes([(first, count)], 1, [1] * count, results)], [])


def full_commit() -> Commit:
    """A commit that touches every table."""
    failure = Failure(4, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
    return Commit(
        segments=[successes(0, 3), SegmentDraft([], [failure])],
        failed=[FailedItem(4, "4", 1, "ITEM_ERROR", "E", "m", 0.0)],
        retries_set=[PendingRetry(5, 1, 1.0)],
        retries_cleared=[6],
        counters=Counters(succeeded=3, failed=1, checkpoints=2),
        events=[OutboxEvent("e1", "CheckpointCreated", "b", 1.0, b"{}")],
    )


def edit(path: Path, statement: str, *values: object) -> None:
    """Change the file behind the store's back."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute(statement, values)
    database.commit()
    database.close()


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_that_failed_anywhere_can_be_repeated(
    faulty: type[FaultyConnection], store: SqliteStore, after: bool
) -> None:
    """An error before or after any statement, COMMIT included: the repeated call records everything once."""
    key, ownership = accept(store)
    ownership.commit(Commit())
    commit = full_commit()
    failures = 0
    for statement in range(1, 30):
        faulty.after = after
        faulty.countdown = statement
        try:
            last = ownership.commit(commit)
        except StoreError:
            failures += 1
        else:
            break
    faulty.countdown = -1
    assert failures >= 6
    assert last == 2
    assert [header.sequence for header in store.segments(key)] == [1, 2]
    assert len(store.events(key)) == 1
    assert store.verify(key) == []


def test_a_commit_whose_end_was_not_seen_is_found_done(
    faulty: type[FaultyConnection], store: SqliteStore
) -> None:
    """When COMMIT happened although an error came, the caller hears of no error and nothing doubles."""
    key, ownership = accept(store)
    ownership.commit(Commit())
    faulty.after = True
    # BEGIN, guard, segments, cleared and set retries, failed items, events, COMMIT
    faulty.countdown = 8
    assert ownership.commit(full_commit()) == 2
    assert ownership.commit(Commit(segments=[successes(7, 1)])) == 3
    assert store.recorded(key).ledger.count(1) == 4


def test_a_renewal_between_failure_and_repetition_does_not_hide_what_happened(
    faulty: type[FaultyConnection], store: SqliteStore, path: Path
) -> None:
    """The store is out of reach after COMMIT; a renewal comes first; the repeated commit still is known."""
    key, ownership = accept(store)
    ownership.commit(Commit())
    commit = full_commit()
    away = path.with_name("away")
    real_execute = faulty.execute

    def commit_and_vanish(self: FaultyConnection, sql: str, *parameters: object) -> sqlite3.Cursor:
        result = real_execute(self, sql, *parameters)
        if sql == "COMMIT":
            path.rename(away)
            raise sqlite3.OperationalError("disk I/O error")
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faulty, "execute", commit_and_vanish)
        with pytest.raises(StoreError):
            ownership.commit(commit)
    away.rename(path)
    ownership.renew(None)
    assert ownership.commit(commit) == 2
    assert len(list(store.segments(key))) == 2


def test_a_request_is_not_lost_when_its_renewal_fails(
    faulty: type[FaultyConnection], store: SqliteStore
) -> None:
    """Requests taken by a renewal whose end was not seen come with the next one."""
    key, ownership = accept(store)
    store.request(key, ControlKind.CANCEL, "me")
    ownership.commit(Commit())
    faulty.after = True
    faulty.countdown = 4  # BEGIN, guard, take, COMMIT
    with pytest.raises(StoreError):
        ownership.renew(None)
    assert [one.kind for one in ownership.renew(None)] == [ControlKind.CANCEL]


def test_a_release_whose_end_was_not_seen_is_a_release(
    faulty: type[FaultyConnection], store: SqliteStore
) -> None:
    """Giving back twice because of an error is no loss of ownership."""
    key, ownership = accept(store)
    ownership.commit(Commit())
    faulty.after = True
    faulty.countdown = 3  # BEGIN, guard, COMMIT
    ownership.release(ExecutionStatus.INTERRUPTED)
    assert store.claim(key) is not None
    with pytest.raises(OwnershipLost, match="given back"):
        ownership.commit(Commit())


def test_a_full_disk_is_said_so_and_costs_nothing_recorded(store: SqliteStore, path: Path) -> None:
    """SQLITE_FULL becomes StoreFull; the same commit succeeds once there is room."""
    key, ownership = accept(store)
    ownership.commit(Commit(segments=[successes(0, 1)]))
    opened = ownership._connection._opened()  # type: ignore[attr-defined]
    (pages,) = opened.database.execute("PRAGMA page_count").fetchone()
    opened.database.execute(f"PRAGMA max_page_count={pages}")
    results = msgspec.json.encode([random.Random(1).randbytes(20_000).hex()])
    commit = Commit(segments=[SegmentDraft([Successes([(1, 1)], 1, [1], results)], [])])
    with pytest.raises(StoreFull, match="free some") as refusal:
        ownership.commit(commit)
    assert refusal.value.code is ErrorCode.RESOURCE_ERROR
    assert ownership.commit(commit) == 2  # the connection that was opened again knows no limit
    assert store.recorded(key).ledger.count(1) == 2


def test_a_replaced_owner_writes_nothing_more(store: SqliteStore, path: Path) -> None:
    """F11: an owner whose lease ran out is replaced, and refused when it wakes up, in every method."""
    key, sleeper = accept(store)
    sleeper.commit(Commit(segments=[successes(0, 1)], status=ExecutionStatus.RUNNING))
    edit(path, "UPDATE execution_states SET owner_expires_at = 1.0")
    found = store.find("b")
    assert found is not None
    assert (found.owned, found.status) == (False, ExecutionStatus.INTERRUPTED)
    successor = store.claim(key)
    assert successor is not None
    assert successor.token == sleeper.token + 1
    for write in (
        lambda: sleeper.commit(Commit(segments=[successes(1, 1)])),
        lambda: sleeper.renew(None),
        lambda: store.open_round(sleeper, [0], {}),
        lambda: sleeper.release(ExecutionStatus.FAILED),
    ):
        with pytest.raises(OwnershipLost):
            write()
    assert successor.commit(Commit(segments=[successes(1, 1)])) == 2
    assert store.recorded(key).ledger.count(1) == 2


def test_an_owner_that_overslept_unreplaced_goes_on(store: SqliteStore, path: Path) -> None:
    """A lease that ran out is no harm while nobody took over."""
    key, ownership = accept(store)
    edit(path, "UPDATE execution_states SET owner_expires_at = 1.0")
    ownership.commit(Commit(segments=[successes(0, 1)]))
    assert store.claim(key) is None


@pytest.mark.parametrize("column", ["body", "succeeded_ranges", "digest", "previous", "created_at"])
def test_damage_costs_only_the_items_of_its_segment(store: SqliteStore, path: Path, column: str) -> None:
    """A resume names the damaged segment; accepting it reopens its items and keeps later segments."""
    key, ownership = accept(store)
    failure = Failure(4, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
    ownership.commit(Commit(segments=[successes(0, 2)]))
    ownership.commit(
        Commit(
            segments=[SegmentDraft(successes(2, 2).successes, [failure])],
            failed=[FailedItem(4, "4", 1, "ITEM_ERROR", "E", "m", 0.0)],
        )
    )
    ownership.commit(Commit(segments=[successes(5, 5)], counters=Counters(succeeded=9, failed=1)))
    damaged = "1.0" if column == "created_at" else f"cast(x'00' || {column} AS BLOB)"
    edit(path, f"UPDATE segments SET {column} = {damaged} WHERE sequence = 2")
    for read in (store.recorded, lambda key: list(store.outcomes(key)), store.recount):
        with pytest.raises(StoreDamaged, match="segment 2"):
            read(key)
    assert [fault.sequence for fault in store.verify(key) if fault.sequence] == [2]

    recorded = store.recorded(key, accept_damage=True)
    assert list(recorded.ledger) == [1, 1, 0, 0, 0, 1, 1, 1, 1, 1]
    assert (recorded.counters.succeeded, recorded.counters.failed) == (7, 0)
    assert list(store.failures(key)) == []
    ownership.commit(Commit(segments=[successes(2, 3)], counters=Counters(succeeded=10)))
    assert store.recorded(key).ledger == bytearray(b"\x01" * 10)
    assert len(list(store.outcomes(key))) == 10
    assert store.verify(key) == []


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_missing_segment_is_never_stepped_over_silently(store: SqliteStore, path: Path, lost: int) -> None:
    """A gap in the chain, at its end as well, is damage that can be accepted."""
    key, ownership = accept(store)
    ownership.commit(Commit(segments=[successes(0, 1), successes(1, 1), successes(2, 1)]))
    edit(path, "DELETE FROM segments WHERE sequence = ?", lost)
    with pytest.raises(StoreDamaged, match=f"segment {lost} is missing"):
        store.recorded(key)
    assert store.recorded(key, accept_damage=True).ledger.count(1) == 2
    assert ownership.commit(Commit(segments=[successes(lost - 1, 1)])) == 4
    assert store.recorded(key).ledger.count(1) == 3


def test_a_segment_of_another_batch_is_found(store: SqliteStore, path: Path) -> None:
    """Records cannot be exchanged between executions."""
    key, ownership = accept(store)
    ownership.commit(Commit(segments=[successes(0, 1)]))
    ownership.release()
    items = InMemoryItems(b"[1]", named=False)
    new = NewExecution(
        batch_id="other",
        execution=1,
        content="c",
        items_digest=items.digest,
        item_count=1,
        named=False,
        processor="p",
        processor_code="x",
        envelope=b"{}",
    )
    created = store.create(new, items)
    assert created is not None
    other, owner = created
    owner.commit(Commit(segments=[successes(0, 1)]))
    edit(path, "DELETE FROM segments WHERE execution_key = ?", key)
    edit(path, "UPDATE segments SET execution_key = ? WHERE execution_key = ?", key, other.execution_key)
    with pytest.raises(StoreDamaged, match="segment 1"):
        store.recorded(key)


@pytest.mark.parametrize(
    ("statement", "record"),
    [
        ("UPDATE input_chunks SET body = cast(body || x'00' AS BLOB)", "input"),
        ("DELETE FROM input_chunks", "input"),
        ("UPDATE executions SET envelope = x'7b7d20'", "execution"),
        ("UPDATE executions SET content = 'other'", "execution"),
        ("UPDATE corrections SET item = x'39'", "input"),
        ("UPDATE rounds SET opened_at = 1.0", "checkpoints"),
        ("DELETE FROM rounds", "checkpoints"),
        ("UPDATE execution_states SET last_digest = x'00'", "segment 1"),
        (
            (
                "INSERT INTO outbox (execution_key, event_id, type, subject, time, data) "
                "SELECT execution_key, event_id, type, subject, 1, data FROM outbox"
            ),
            "events",
        ),
    ],
)
def test_verify_names_the_record_that_was_changed(
    store: SqliteStore, path: Path, statement: str, record: str
) -> None:
    """Whatever is stored of an execution, a change to it is found and named."""
    key, ownership = accept(store)
    failure = Failure(4, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
    ownership.commit(
        Commit(
            segments=[SegmentDraft([], [failure])],
            failed=[FailedItem(4, "4", 1, "ITEM_ERROR", "E", "m", 0.0)],
            counters=Counters(failed=1),
            events=[OutboxEvent("e", "CheckpointCreated", "b", 1.0, b"{}")],
        )
    )
    store.open_round(ownership, [4], {4: b"40"})
    ownership.commit(Commit(counters=Counters()))
    assert store.verify(key) == []
    edit(path, statement)
    assert record in {fault.record for fault in store.verify(key)}


def test_a_damaged_input_chunk_is_found_when_it_is_loaded(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large inputs prove each chunk when it is read; the message names chunk and items."""
    monkeypatch.setattr(stored_input, "_SMALL", 0)
    key, _ = accept(store, msgspec.json.encode(list(range(5000))))
    edit(path, "UPDATE input_chunks SET body = cast(body || x'00' AS BLOB) WHERE chunk = 1")
    items = store.items(key)
    assert isinstance(items, StoredItems)
    assert items.text([7]) == b"[7]"
    with pytest.raises(StoreDamaged, match=r"input chunk 1 \(items 2048 to 4095\)"):
        items.text([3000])


def test_large_inputs_are_read_chunk_by_chunk_with_corrections(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items read in pieces are the accepted ones, but for the corrected."""
    monkeypatch.setattr(stored_input, "_SMALL", 0)
    text = msgspec.json.encode(list(range(5000)))
    key, ownership = accept(store, text)
    assert store.items(key).text(range(5000)) == text
    failure = Failure(4999, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
    ownership.commit(
        Commit(
            segments=[SegmentDraft([], [failure])],
            failed=[FailedItem(4999, "4999", 1, "ITEM_ERROR", "E", "m", 0.0)],
        )
    )
    store.open_round(ownership, [4999], {4999: b'"new"'})
    assert store.items(key).text(range(4998, 5000)) == b'[4998,"new"]'


def test_a_store_file_that_was_replaced_is_not_written(store: SqliteStore, path: Path) -> None:
    """F25: results never go to a file that is not there any more."""
    _, ownership = accept(store)
    ownership.commit(Commit())
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(StoreError, match="removed or replaced"):
        ownership.commit(Commit(segments=[successes(0, 1)]))


def test_the_wal_is_moved_into_the_database(store: SqliteStore, path: Path) -> None:
    """The WAL stays near 8 MB however much is written, and is gone after the last close."""
    wal = path.with_name("s.db-wal")
    _, ownership = accept(store)
    result = msgspec.json.encode([random.Random(1).randbytes(200_000).hex()])
    for _ in range(80):
        ownership.commit(Commit(segments=[SegmentDraft([Successes([(0, 1)], 1, [1], result)], [])]))
        assert wal.stat().st_size < 12 << 20
    ownership.release()
    store.close()
    assert not wal.exists()


def test_a_store_in_a_folder_nobody_can_write_is_read_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader leaves no file beside it, which SQLite otherwise needs for a database in WAL mode."""
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    real = os.access
    monkeypatch.setattr(os, "access", lambda where, mode: where != tmp_path and real(where, mode))
    store = SqliteStore(path, read_only=True)
    assert store.executions() == []
    assert {one.name for one in tmp_path.iterdir()} == {"s.db", "s.db.lock"}
    store.close()


def test_a_read_only_file_system_is_told_from_missing_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to do about the one is not what to do about the other."""
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    monkeypatch.setattr(os, "access", lambda where, mode: False)
    with pytest.raises(StoreError, match="check the permissions"):
        SqliteStore(path)
    monkeypatch.setattr(failures, "is_on_read_only_system", lambda where: True)
    with pytest.raises(StoreError, match="mounted read-only"):
        SqliteStore(path)


@pytest.mark.parametrize("status", [None, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED])
def test_no_execution_of_a_dead_owner_seems_to_go_on(
    store: SqliteStore, path: Path, status: ExecutionStatus | None
) -> None:
    """Not even one whose owner died before it began."""
    _, ownership = accept(store)
    if status is not None:
        ownership.commit(Commit(status=ExecutionStatus.RUNNING))
        ownership.commit(Commit(status=status))
    edit(path, "UPDATE execution_states SET owner_started = '1'")
    (listed,) = store.executions()
    assert (listed.status, listed.owned) == (ExecutionStatus.INTERRUPTED, False)


def test_a_connection_collected_in_anothers_transaction_waits_for_nothing(tmp_path: Path) -> None:
    """The collector may run at any moment, also while this very thread holds the lock it would wait for."""
    path = tmp_path / "s.db"
    SqliteStore(path).close()
    forgotten, writer = connection.Connection(path), connection.Connection(path)
    with forgotten.writing():
        pass
    closed = weakref.ref(forgotten._open)
    with writer.writing(), ThreadPoolExecutor(1) as elsewhere:
        box = [forgotten]
        del forgotten
        elsewhere.submit(box.clear).result(timeout=20)
    assert closed() is None
    writer.close()
