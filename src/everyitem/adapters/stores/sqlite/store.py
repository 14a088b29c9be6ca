"""`ports.store.Store` in one SQLite file."""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain as chained
from itertools import islice
from pathlib import Path

import msgspec

from everyitem.adapters.stores import history, rounds
from everyitem.adapters.stores.input_chunks import seal_chunks
from everyitem.adapters.stores.liveness import LEASE, this_process
from everyitem.adapters.stores.outcomes import OutcomeReader
from everyitem.adapters.stores.recount import recount
from everyitem.adapters.stores.segments import StoredSegment, header_of, open_draft
from everyitem.adapters.stores.sqlite import location, records
from everyitem.adapters.stores.sqlite.connection import Connection, insert_rows
from everyitem.adapters.stores.sqlite.migrations import check_schema, known_migrations, migrate
from everyitem.adapters.stores.sqlite.ownership import SqliteOwnership
from everyitem.adapters.stores.sqlite.reading import ExecutionReader, failed_indices
from everyitem.adapters.stores.sqlite.rows import delete_failed
from everyitem.adapters.stores.sqlite.verification import Verification
from everyitem.adapters.stores.stored_input import open_items
from everyitem.model.errors import StoreDamaged, StoreError, UsageError
from everyitem.model.items import Items
from everyitem.model.status import ExecutionStatus
from everyitem.ports.store import (
    ControlKind,
    Counters,
    ExecutionRecord,
    FailedItem,
    HistoryEntry,
    NewExecution,
    OnDamage,
    OutboxEvent,
    Outcome,
    Ownership,
    Recorded,
    SegmentDraft,
    SegmentHeader,
    StoreFault,
)

#: Rows of failed items fetched at a time, and input chunks inserted at a time.
_FAILED_ROWS = 500
_CHUNK_ROWS = 16

_json = msgspec.json.Encoder().encode
_decode_frames = msgspec.msgpack.Decoder(list[tuple[str, int, str]]).decode


class SqliteStore:
    """All executions of one SQLite file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, creating it and bringing its schema up to date unless `read_only`."""
        self.url = f"sqlite:///{path}"
        self._path = path
        self._connection = Connection(path, read_only=read_only)
        if read_only:
            if not path.is_file():
                raise UsageError(f"there is no store at {path}")
            location.refuse_remote(path)
            with self._connection.reading() as database:
                check_schema(database, path, known_migrations())
        else:
            location.prepare(path)
            migrate(path, known_migrations())

    def find(self, batch_id: str, execution: int | None = None) -> ExecutionRecord | None:
        with self._connection.reading() as database:
            if execution is None:
                return records.latest(database, batch_id)
            return records.numbered(database, batch_id, execution)

    def executions(self) -> list[ExecutionRecord]:
        with self._connection.reading() as database:
            return records.all_records(database)

    def create(self, new: NewExecution, items: Items) -> tuple[ExecutionRecord, Ownership] | None:
        if self.find(new.batch_id, new.execution) is not None:
            return None
        now = time.time()
        chain = records.chain_of(new, now)
        chunks = seal_chunks(items, chain)
        # packing begins before the transaction does, and goes on beside it
        first = list(islice(chunks, 1))
        with self._connection.writing() as database:
            key = _insert_execution(database, new, now, chain)
            if key is None:
                return None
            rows = ((key, *msgspec.structs.astuple(chunk)) for chunk in chained(first, chunks))
            while part := list(islice(rows, _CHUNK_ROWS)):
                insert_rows(database, "INSERT INTO input_chunks VALUES", part)
                self._connection.note_size(sum(len(row[-1]) for row in part))
        record = self.find(new.batch_id, new.execution)
        if record is None:
            raise StoreError(f"store {self._path}: an execution just stored is not there; check the disk")
        return record, SqliteOwnership(self._path, execution_key=key, token=1, chain=chain)

    def claim(self, execution_key: int) -> Ownership | None:
        with self._connection.writing() as database:
            claimed = _take_over(database, execution_key)
        if claimed is None:
            return None
        token, chain = claimed
        return SqliteOwnership(self._path, execution_key=execution_key, token=token, chain=chain)

    def open_round(
        self, ownership: Ownership, indices: Sequence[int], corrections: Mapping[int, bytes]
    ) -> int:
        if not isinstance(ownership, SqliteOwnership):
            raise UsageError("a round is opened with the ownership this store gave")
        return ownership.open_round(indices, corrections)

    def recorded(self, execution_key: int, *, accept_damage: bool = False) -> Recorded:
        with self._connection.snapshot():
            reader = self._reader(execution_key)
            identity = reader.identity
            opened = reader.rounds()
            segments, faults = reader.proved_segments()
            retries = reader.retries()
        if faults and not accept_damage:
            raise _damaged(faults)
        segments = _without(faults, segments)
        ledger = rounds.replay(identity.item_count, opened, segments)
        if faults:
            self._discard(execution_key, faults, ledger)
        return Recorded(
            ledger=ledger,
            retries=[retry for retry in retries if rounds.is_open(ledger, retry.index)],
            last_sequence=identity.last_sequence,
            counters=msgspec.structs.replace(
                identity.counters,
                succeeded=ledger.count(rounds.SUCCEEDED),
                failed=ledger.count(rounds.FAILED),
            ),
        )

    def items(self, execution_key: int) -> Items:
        reader = self._reader(execution_key)
        return open_items(
            count=reader.identity.item_count,
            named=reader.identity.named,
            digest=reader.identity.items_digest,
            layout=reader.chunk_layout(),
            load=reader.chunk,
            corrections=reader.corrections(),
        )

    def outcomes(self, execution_key: int, *, on_damage: OnDamage | None = None) -> Iterator[Outcome]:
        with self._connection.snapshot():
            reader = self._reader(execution_key)
            opened = reader.rounds()
            segments, faults = reader.proved_segments()
        if faults and on_damage is None:
            raise _damaged(faults)
        if on_damage is not None:
            segments = _without(faults, segments)
            for fault in faults:
                on_damage(fault)
        outcomes = OutcomeReader(reader.identity.item_count, reader.draft)
        outcomes.follow(rounds.timeline(opened, segments))
        yield from outcomes.read(self.items(execution_key))

    def failures(self, execution_key: int, *, with_items: bool = False) -> Iterator[FailedItem]:
        items = self.items(execution_key) if with_items else None
        after = -1
        while True:
            with self._connection.reading() as database:
                rows = database.execute(
                    "SELECT item_index, item_id, attempts, code, type, message, duration_ms, frames "
                    "FROM failed_items WHERE execution_key = ? AND item_index > ? "
                    "ORDER BY item_index LIMIT ?",
                    (execution_key, after, _FAILED_ROWS),
                ).fetchall()
            if not rows:
                return
            for index, item_id, attempts, code, type_, message, duration_ms, frames in rows:
                yield FailedItem(
                    index=index,
                    item_id=item_id,
                    attempts=attempts,
                    code=code,
                    type=type_,
                    message=message,
                    duration_ms=duration_ms,
                    item=items.text((index,))[1:-1] if items is not None else None,
                    frames=_decode_frames(frames),
                )
            after = rows[-1][0]

    def history(
        self, execution_key: int, index: int, *, on_damage: OnDamage | None = None
    ) -> list[HistoryEntry]:
        reader = self._reader(execution_key)
        discarded = reader.discarded()

        def told() -> Iterator[tuple[StoredSegment, SegmentDraft]]:
            for segment in reader.segments(bodies=False):
                if segment.sequence in discarded:
                    continue
                try:
                    if history.tells_of(segment, index):
                        yield segment, reader.draft(segment.sequence)
                except StoreDamaged as error:
                    if on_damage is None:
                        raise
                    on_damage(StoreFault(record=segment.name, message=str(error), sequence=segment.sequence))

        return history.attempts_of(index, told())

    def segments(self, execution_key: int) -> Iterator[SegmentHeader]:
        for segment, size in self._reader(execution_key).sizes():
            yield header_of(segment, size)

    def recount(self, execution_key: int) -> tuple[Counters, list[int]]:
        with self._connection.snapshot():
            reader = self._reader(execution_key)
            discarded = reader.discarded()
            return recount(
                reader.identity.item_count,
                reader.rounds(),
                (one for one in reader.segments(bodies=True) if one.sequence not in discarded),
                lambda segment: open_draft(segment, reader.identity.chain),
            )

    def verify(self, execution_key: int) -> list[StoreFault]:
        # on a connection of its own: the check may take long, and the store goes on being used
        connection = Connection(self._path, read_only=True)
        try:
            with connection.snapshot() as database:
                identity = records.read_identity(database, execution_key)
                return Verification(database, ExecutionReader(connection, identity)).run()
        finally:
            connection.close()

    def events(self, execution_key: int, after: int = 0) -> list[OutboxEvent]:
        with self._connection.reading() as database:
            return [
                OutboxEvent(*row)
                for row in database.execute(
                    "SELECT event_id, type, subject, time, data, position FROM outbox "
                    "WHERE execution_key = ? AND position > ? ORDER BY position",
                    (execution_key, after),
                )
            ]

    def request(self, execution_key: int, kind: ControlKind, requested_by: str) -> None:
        with self._connection.writing() as database:
            database.execute(
                "INSERT INTO controls (execution_key, kind, requested_at, requested_by) VALUES (?, ?, ?, ?)",
                (execution_key, kind, time.time(), requested_by),
            )

    def close(self) -> None:
        self._connection.close()

    def _reader(self, execution_key: int) -> ExecutionReader:
        with self._connection.reading() as database:
            identity = records.read_identity(database, execution_key)
            if records.stored_chain(database, execution_key) != identity.chain:
                raise StoreDamaged(
                    f"the record of execution {execution_key} is not what was accepted; "
                    "restore the store from a copy"
                )
            return ExecutionReader(self._connection, identity)

    def _discard(self, execution_key: int, faults: Sequence[StoreFault], ledger: bytearray) -> None:
        """Do without damaged segments from now on: what only they told did not happen."""
        now = time.time()
        with self._connection.writing() as database:
            database.executemany(
                "INSERT OR IGNORE INTO discarded_segments VALUES (?, ?, ?)",
                [(execution_key, fault.sequence, now) for fault in faults],
            )
            reopened = [
                index for index in failed_indices(database, execution_key) if ledger[index] != rounds.FAILED
            ]
            delete_failed(database, execution_key, reopened)


def _insert_execution(
    database: sqlite3.Connection, new: NewExecution, now: float, chain: bytes
) -> int | None:
    """The execution and its first state, owned by this process; None when it exists already."""
    key = database.execute(
        "INSERT INTO executions (batch_id, execution, content, items_digest, item_count, named, processor, "
        "processor_code, created_at, chain, envelope, settings, source) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (batch_id, execution) DO NOTHING",
        (
            new.batch_id,
            new.execution,
            new.content,
            new.items_digest,
            new.item_count,
            new.named,
            new.processor,
            new.processor_code,
            now,
            chain,
            new.envelope,
            new.settings,
            new.source,
        ),
    )
    if key.rowcount != 1:
        return None
    me = this_process()
    database.execute(
        "INSERT INTO execution_states VALUES (?, ?, 1, 1, 0, ?, NULL, NULL, ?, NULL, 1, 0, ?, ?, ?, ?, ?)",
        (
            key.lastrowid,
            ExecutionStatus.QUEUED,
            chain,
            _json(Counters()).decode(),
            now + LEASE,
            me.host,
            me.boot,
            me.pid,
            me.started,
        ),
    )
    return key.lastrowid


def _take_over(database: sqlite3.Connection, execution_key: int) -> tuple[int, bytes] | None:
    """Own the execution as this process unless its owner lives; the new token and the chain's id."""
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    row = cursor.execute(
        "SELECT * FROM execution_states JOIN executions USING (execution_key) WHERE execution_key = ?",
        (execution_key,),
    ).fetchone()
    if row is None:
        raise UsageError(f"the store holds no execution with key {execution_key}")
    now = time.time()
    owner = records.owner_of(row)
    if owner is not None and owner.is_living(now):
        return None
    me = this_process()
    database.execute(
        "UPDATE execution_states SET owner_token = owner_token + 1, owner_expires_at = ?, owner_host = ?, "
        "owner_boot = ?, owner_pid = ?, owner_started = ?, runs = runs + 1 WHERE execution_key = ?",
        (now + LEASE, me.host, me.boot, me.pid, me.started, execution_key),
    )
    # requests were meant for the owner that is gone
    database.execute("DELETE FROM controls WHERE execution_key = ?", (execution_key,))
    return row["owner_token"] + 1, row["chain"]


def _without(faults: Sequence[StoreFault], segments: list[StoredSegment]) -> list[StoredSegment]:
    """The segments that can be believed; one that only does not follow the one before it cannot."""
    dropped = {fault.sequence for fault in faults}
    return [segment for segment in segments if segment.sequence not in dropped]


def _damaged(faults: Sequence[StoreFault]) -> StoreDamaged:
    more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    return StoreDamaged(faults[0].message + more)
