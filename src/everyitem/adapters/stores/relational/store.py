"""`ports.store.Store` in tables."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec

from everyitem.adapters.stores import history, rounds
from everyitem.adapters.stores.outcomes import OutcomeReader
from everyitem.adapters.stores.recount import recount
from everyitem.adapters.stores.relational import pruning, records
from everyitem.adapters.stores.relational.alerts import TableAlerts
from everyitem.adapters.stores.relational.claims import Claimed, Claims
from everyitem.adapters.stores.relational.database import Connection, insert_rows
from everyitem.adapters.stores.relational.inbox import TableInbox
from everyitem.adapters.stores.relational.monitoring import TableMonitoring
from everyitem.adapters.stores.relational.outlet import TableOutlet
from everyitem.adapters.stores.relational.ownership import TableOwnership
from everyitem.adapters.stores.relational.reading import ExecutionReader, failed_indices
from everyitem.adapters.stores.relational.rows import delete_failed, give_up_outcomes
from everyitem.adapters.stores.relational.tokens import TableTokens
from everyitem.adapters.stores.relational.verification import Verification
from everyitem.adapters.stores.segments import StoredSegment, header_of, open_draft
from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import OwnershipLost, StoreDamaged, UsageError
from everyitem.model.items import Items
from everyitem.ports.checkpoint import Counters, SegmentDraft, SegmentHeader
from everyitem.ports.control import ControlKind
from everyitem.ports.deferral import Deferral
from everyitem.ports.doubt import Intent, Settlement
from everyitem.ports.execution import ExecutionRecord, NewExecution, Recorded
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem, HistoryEntry, Outcome
from everyitem.ports.retention import Expired
from everyitem.ports.store import OnDamage, Ownership, StoreFault

#: Rows of failed items fetched at a time.
_FAILED_ROWS = 500

_json = msgspec.json.Encoder().encode
_decode_frames = msgspec.msgpack.Decoder(list[tuple[str, int, str]]).decode


class TableStore:
    """All executions of one database."""

    def __init__(self, url: str, connection: Connection, connect: Callable[[bool], Connection]) -> None:
        """`url` is what may be shown of the place; `connect(read_only)` makes another connection to it."""
        self.url = url
        self._connection = connection
        self._connect = connect
        self._claims = Claims(connection)

    @property
    def monitoring(self) -> TableMonitoring:
        """The store as a whole; closing it closes both."""
        return TableMonitoring(self._connection)

    @property
    def alerts(self) -> TableAlerts:
        """Alerts and silences; closing them closes both."""
        return TableAlerts(self._connection)

    @property
    def tokens(self) -> TableTokens:
        """The access tokens beside the executions; closing one closes both."""
        return TableTokens(self._connection)

    @property
    def inbox(self) -> TableInbox:
        """The events that come in; closing it closes both."""
        return TableInbox(self._connection)

    @property
    def outlet(self) -> TableOutlet:
        """The events that are still to be published; closing it closes both."""
        return TableOutlet(self._connection)

    def find(self, batch_id: str, execution: int | None = None) -> ExecutionRecord | None:
        with self._connection.reading() as database:
            if execution is None:
                return records.latest(database, self._connection.dialect, batch_id)
            return records.numbered(database, self._connection.dialect, batch_id, execution)

    def executions(self) -> list[ExecutionRecord]:
        with self._connection.reading() as database:
            return records.all_records(database, self._connection.dialect)

    def create(self, new: NewExecution, items: Items) -> tuple[ExecutionRecord, Ownership] | None:
        created = self._claims.create(new, items)
        if created is None:
            return None
        record, claimed = created
        return record, self._own(claimed)

    def claim(self, execution_key: int, *, is_run: bool = True) -> Ownership | None:
        claimed = self._claims.take_over(execution_key, is_run=is_run)
        return None if claimed is None else self._own(claimed)

    def _own(self, claimed: Claimed) -> Ownership:
        return TableOwnership(
            self._connect(False), claimed.execution_key, token=claimed.token, chain=claimed.chain
        )

    def open_round(
        self, ownership: Ownership, indices: Sequence[int], corrections: Mapping[int, bytes]
    ) -> int:
        if not isinstance(ownership, TableOwnership):
            raise UsageError("a round is opened with the ownership this store gave")
        return ownership.open_round(indices, corrections)

    def recorded(self, execution_key: int, *, accept_damage: bool = False) -> Recorded:
        with self._connection.snapshot():
            reader = self._reader(execution_key)
            identity = reader.identity
            opened = reader.rounds()
            segments, faults = reader.proved_segments()
            retries = reader.retries()
            intents = reader.intents()
            deferrals = reader.deferrals()
        if faults and not accept_damage:
            raise _damaged(faults)
        segments = _without(faults, segments)
        ledger = rounds.replay(identity.item_count, opened, segments)
        if faults:
            self._discard(identity, faults, ledger)
        return Recorded(
            ledger=ledger,
            retries=[retry for retry in retries if rounds.is_open(ledger, retry.index)],
            intents=[intent for intent in intents if rounds.is_open(ledger, intent.index)],
            deferrals=[one for one in deferrals if rounds.is_open(ledger, one.index)],
            last_sequence=identity.last_sequence,
            counters=msgspec.structs.replace(
                identity.counters,
                succeeded=ledger.count(rounds.SUCCEEDED),
                failed=ledger.count(rounds.FAILED),
            ),
        )

    def items(self, execution_key: int, *, round_: int | None = None) -> Items:
        return self._reader(execution_key).items(round_)

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

    def failures(
        self, execution_key: int, *, with_items: bool = False, after: int = -1
    ) -> Iterator[FailedItem]:
        items = self.items(execution_key) if with_items else None
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
        connection = self._connect(True)
        try:
            with connection.snapshot() as database:
                identity = records.read_identity(database, execution_key)
                return Verification(database, ExecutionReader(connection, identity)).run()
        finally:
            connection.close()

    def events(
        self,
        execution_key: int,
        after: int = 0,
        *,
        limit: int | None = None,
        without: Collection[str] = (),
    ) -> list[OutboxEvent]:
        others = f"AND type NOT IN ({', '.join('?' * len(without))}) " if without else ""
        with self._connection.reading() as database:
            return [
                OutboxEvent(*row)
                for row in database.execute(
                    "SELECT event_id, type, subject, time, data, position, traceparent FROM outbox "
                    f"WHERE execution_key = ? AND position > ? {others}ORDER BY position LIMIT ?",
                    (execution_key, after, *without, 1 << 62 if limit is None else limit),
                ).fetchall()
            ]

    def intents(self, execution_key: int) -> list[Intent]:
        return self._reader(execution_key).intents()

    def deferrals(self, execution_key: int) -> list[Deferral]:
        return self._reader(execution_key).deferrals()

    def request(
        self,
        execution_key: int,
        kind: ControlKind,
        requested_by: str,
        settlement: Settlement | None = None,
        slots: int | None = None,
    ) -> None:
        with self._connection.writing() as database:
            database.execute(
                "INSERT INTO controls (execution_key, kind, requested_at, requested_by, settlement, slots) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    execution_key,
                    kind,
                    time.time(),
                    requested_by,
                    None if settlement is None else _json(settlement).decode(),
                    slots,
                ),
            )
            passing(Failpoint.REQUEST_INSERTED)
        passing(Failpoint.REQUEST_COMMITTED)

    def connection(self) -> Connection:
        """The connection, for what else is kept in the same database."""
        return self._connection

    def expired(self, *, finished_before: float, limit: int | None = None) -> list[Expired]:
        return pruning.expired(self._connection, finished_before, limit)

    def prune(self, execution_key: int, *, finished_before: float) -> bool:
        # owned while it is marked: nobody can begin a redrive of it meanwhile
        ownership = self.claim(execution_key, is_run=False)
        if ownership is None:
            return False
        try:
            marked = pruning.mark(self._connection, execution_key, finished_before)
        finally:
            ownership.release()
        if marked:
            pruning.delete(self._connection, execution_key)
        return marked

    def forget_events(self, *, received_before: float) -> int:
        return pruning.forget_events(self._connection, received_before)

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

    def _discard(self, identity: records.Identity, faults: Sequence[StoreFault], ledger: bytearray) -> None:
        """Do without damaged segments from now on: what only they told did not happen."""
        key, now = identity.execution_key, time.time()
        with self._connection.writing() as database:
            # whoever was stopped since he looked must not take back what another one recorded
            as_seen = database.execute(
                "UPDATE execution_states SET last_sequence = last_sequence "
                "WHERE execution_key = ? AND last_sequence = ? AND round = ?",
                (key, identity.last_sequence, identity.round),
            )
            if as_seen.rowcount != 1:
                raise OwnershipLost(f"execution {key} is being carried on by another process")
            insert_rows(
                database,
                "INSERT INTO discarded_segments VALUES",
                [(key, fault.sequence, now) for fault in faults],
                "ON CONFLICT DO NOTHING",
            )
            passing(Failpoint.DAMAGE_MARKED)
            reopened = [index for index in failed_indices(database, key) if ledger[index] != rounds.FAILED]
            delete_failed(database, self._connection.dialect, key, reopened)
            give_up_outcomes(
                database,
                key,
                succeeded=ledger.count(rounds.SUCCEEDED),
                failed=ledger.count(rounds.FAILED),
            )
        passing(Failpoint.DAMAGE_DISCARDED)


def _without(faults: Sequence[StoreFault], segments: list[StoredSegment]) -> list[StoredSegment]:
    """The segments that can be believed; one that only does not follow the one before it cannot."""
    dropped = {fault.sequence for fault in faults}
    return [segment for segment in segments if segment.sequence not in dropped]


def _damaged(faults: Sequence[StoreFault]) -> StoreDamaged:
    more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
    return StoreDamaged(faults[0].message + more)
