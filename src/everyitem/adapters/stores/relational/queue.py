"""`ports.queue.BatchQueue` in tables."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from everyitem.adapters.stores.liveness import LEASE, Owner, ProcessIdentity, this_process
from everyitem.adapters.stores.relational import records
from everyitem.adapters.stores.relational.allocations import ask_for_slots, read_allocation
from everyitem.adapters.stores.relational.claims import Claims
from everyitem.adapters.stores.relational.database import Connection, Database
from everyitem.adapters.stores.relational.inbox import remember
from everyitem.model.configuration import Priority
from everyitem.model.items import Items
from everyitem.model.status import ExecutionStatus
from everyitem.ports.execution import ExecutionRecord, NewExecution
from everyitem.ports.inbox import EventIsKnown, IncomingEvent
from everyitem.ports.progress import Progress
from everyitem.ports.queue import Action, Demand, NewTicket, QueueIsFull, ServiceRecord, Ticket, Wish

_decode_progress = msgspec.json.Decoder(Progress).decode

_COLUMNS = (
    *("execution_key", "batch_id", "execution", "number", "since", "priority", "wish", "actor"),
    *("runs_before", "least", "most", "millicores", "memory_mb", "parallelism", "service_id"),
    *("status", "runs", "progress"),
    *("owner_expires_at", "owner_host", "owner_boot", "owner_pid", "owner_started"),
)
_SELECT = (
    f"SELECT {', '.join(_COLUMNS)} FROM tickets "
    "JOIN executions USING (execution_key) JOIN execution_states USING (execution_key)"
)
_FREE = "UPDATE tickets SET service_id = NULL WHERE service_id = ?"


class TableQueue:
    """The queue of one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def enqueue(
        self,
        new: NewExecution,
        items: Items,
        ticket: NewTicket,
        action: Action,
        *,
        room: int,
        event: IncomingEvent | None = None,
    ) -> int | None:
        def beside(database: Database, execution_key: int) -> None:
            if event is not None and not remember(database, event, time.time()):
                raise EventIsKnown
            self._insert(database, execution_key, ticket, room=room)
            _note(database, execution_key, action)

        return Claims(self._connection).store(new, items, beside)

    def put(self, execution_key: int, ticket: NewTicket, action: Action, *, room: int | None) -> bool:
        with self._connection.writing() as database:
            is_put = self._insert(database, execution_key, ticket, room=room)
            if is_put:
                _note(database, execution_key, action)
        return is_put

    def change(
        self,
        execution_key: int,
        *,
        action: Action | None = None,
        wish: Wish | None = None,
        priority: Priority | None = None,
        parallelism: int | None = None,
    ) -> bool:
        with self._connection.writing() as database:
            changed = database.execute(
                "UPDATE tickets SET wish = coalesce(?, wish), priority = coalesce(?, priority), "
                "parallelism = coalesce(?, parallelism) WHERE execution_key = ?",
                (wish, priority, parallelism, execution_key),
            ).rowcount
            if changed and action is not None:
                _note(database, execution_key, action)
        return changed == 1

    def remove(self, execution_key: int, *, number: int) -> bool:
        with self._connection.writing() as database:
            return (
                database.execute(
                    "DELETE FROM tickets WHERE execution_key = ? AND number = ?", (execution_key, number)
                ).rowcount
                == 1
            )

    def tickets(self) -> list[Ticket]:
        return self._tickets("ORDER BY number")

    def ticket(self, execution_key: int) -> Ticket | None:
        found = self._tickets("WHERE execution_key = ?", execution_key)
        return found[0] if found else None

    def claim(self, ticket: Ticket, service_id: str) -> bool:
        with self._connection.writing() as database:
            row = database.execute(
                "SELECT service_id FROM tickets WHERE number = ?", (ticket.number,)
            ).fetchone()
            if row is None or (row[0] not in {None, service_id} and row[0] in self._living(database)):
                return False
            # a compare-and-set: another service may have been quicker since
            return (
                database.execute(
                    "UPDATE tickets SET service_id = ? "
                    "WHERE number = ? AND wish = ? AND coalesce(service_id, '') = ?",
                    (service_id, ticket.number, Wish.RUN, row[0] or ""),
                ).rowcount
                == 1
            )

    def give_back(self, service_id: str, execution_keys: Sequence[int]) -> None:
        with self._connection.writing() as database:
            for execution_key in execution_keys:
                database.execute(f"{_FREE} AND execution_key = ?", (service_id, execution_key))

    def renew(self, service: ServiceRecord) -> None:
        me = this_process()
        with self._connection.writing() as database:
            database.execute(
                f"INSERT INTO services VALUES (?, {self._connection.dialect.clock} + ?, "
                "?, ?, ?, ?, ?, ?, ?) ON CONFLICT (service_id) DO UPDATE SET "
                "expires_at = excluded.expires_at, millicores = excluded.millicores, "
                "memory_mb = excluded.memory_mb, batches = excluded.batches",
                (
                    *(service.service_id, LEASE, me.host, me.boot, me.pid, me.started),
                    *(service.millicores, service.memory_mb, service.batches),
                ),
            )
            # long gone: not even a clock that was set back brings them again
            database.execute(
                f"DELETE FROM services WHERE expires_at < {self._connection.dialect.clock} - 3600"
            )

    def leave(self, service_id: str) -> None:
        with self._connection.writing() as database:
            database.execute(_FREE, (service_id,))
            database.execute("DELETE FROM services WHERE service_id = ?", (service_id,))

    def services(self) -> list[ServiceRecord]:
        with self._connection.reading() as database:
            return list(self._living(database).values())

    def note(self, execution_key: int, action: Action) -> None:
        with self._connection.writing() as database:
            _note(database, execution_key, action)

    def actions(self, execution_key: int, after: int = 0, limit: int | None = None) -> list[Action]:
        with self._connection.reading() as database:
            return [
                Action(position=position, at=at, actor=actor, action=action, detail=detail)
                for position, at, actor, action, detail in database.execute(
                    "SELECT position, at, actor, action, detail FROM actions "
                    "WHERE execution_key = ? AND position > ? ORDER BY position LIMIT ?",
                    (execution_key, after, limit if limit is not None else 1 << 62),
                ).fetchall()
            ]

    def page(self, *, before: int | None, limit: int) -> list[ExecutionRecord]:
        with self._connection.reading() as database:
            return records.page_of_records(database, self._connection.dialect, before=before, limit=limit)

    def input_bytes(self, execution_key: int) -> int:
        with self._connection.reading() as database:
            (length,) = database.execute(
                "SELECT CAST(coalesce(sum(text_length), 0) AS BIGINT) FROM input_chunks "
                "WHERE execution_key = ?",
                (execution_key,),
            ).fetchone()
        return int(length)

    def now(self) -> float:
        with self._connection.reading() as database:
            return self._now(database)

    def close(self) -> None:
        self._connection.close()

    def _now(self, database: Database) -> float:
        (now,) = database.execute(f"SELECT {self._connection.dialect.clock}").fetchone()
        return float(now)

    def _insert(self, database: Database, execution_key: int, ticket: NewTicket, *, room: int | None) -> bool:
        """Raises `QueueIsFull`; False when the execution has a ticket."""
        (waiting,) = database.execute("SELECT count(*) FROM tickets WHERE service_id IS NULL").fetchone()
        if room is not None and waiting >= room:
            raise QueueIsFull
        demand = ticket.demand
        inserted = (
            database.execute(
                "INSERT INTO tickets (execution_key, since, priority, wish, actor, runs_before, "
                "least, most, millicores, memory_mb, parallelism) "
                f"SELECT execution_key, {self._connection.dialect.clock}, "
                "?, ?, ?, runs, ?, ?, ?, ?, ? FROM execution_states WHERE execution_key = ? "
                "ON CONFLICT (execution_key) DO NOTHING",
                (
                    *(ticket.priority, Wish.RUN, ticket.actor),
                    *(demand.least, demand.most, demand.millicores, demand.memory_mb, ticket.parallelism),
                    execution_key,
                ),
            ).rowcount
            == 1
        )
        if inserted and (allocation := read_allocation(database, execution_key)) is not None:
            ask_for_slots(database, execution_key, allocation)
        return inserted

    def _tickets(self, which: str, *values: object) -> list[Ticket]:
        with self._connection.reading() as database:
            living, now = self._living(database), self._now(database)
            rows = database.execute(f"{_SELECT} {which}", values).fetchall()
        return [_ticket(dict(zip(_COLUMNS, row, strict=True)), living, now) for row in rows]

    def _living(self, database: Database) -> dict[str, ServiceRecord]:
        now = self._now(database)
        rows = database.execute(
            "SELECT service_id, expires_at, host, boot, pid, started, millicores, memory_mb, batches "
            "FROM services"
        ).fetchall()
        return {
            service_id: ServiceRecord(
                service_id=service_id,
                host=host,
                pid=pid,
                millicores=millicores,
                memory_mb=memory_mb,
                batches=batches,
            )
            for service_id, expires_at, host, boot, pid, started, millicores, memory_mb, batches in rows
            if Owner(ProcessIdentity(host, boot, pid, started), expires_at).is_living(now)
        }


def _ticket(row: dict[str, Any], living: dict[str, ServiceRecord], now: float) -> Ticket:
    owner = records.owner_of(row)
    owned = owner is not None and owner.is_living(now)
    return Ticket(
        execution_key=row["execution_key"],
        batch_id=row["batch_id"],
        execution=row["execution"],
        number=row["number"],
        since=row["since"],
        priority=msgspec.convert(row["priority"], Priority),
        wish=msgspec.convert(row["wish"], Wish),
        demand=Demand(
            least=row["least"], most=row["most"], millicores=row["millicores"], memory_mb=row["memory_mb"]
        ),
        actor=row["actor"],
        parallelism=row["parallelism"],
        service_id=row["service_id"] if row["service_id"] in living else None,
        status=msgspec.convert(row["status"], ExecutionStatus),
        runs_before=row["runs_before"],
        runs=row["runs"],
        owned=owned,
        owner_pid=row["owner_pid"] if owned else None,
        owner_host=row["owner_host"] if owned else None,
        progress=_decode_progress(row["progress"]) if owned and row["progress"] is not None else None,
    )


def _note(database: Database, execution_key: int, action: Action) -> None:
    database.execute(
        "INSERT INTO actions (execution_key, at, actor, action, detail) VALUES (?, ?, ?, ?, ?)",
        (execution_key, action.at or time.time(), action.actor, action.action, action.detail),
    )
