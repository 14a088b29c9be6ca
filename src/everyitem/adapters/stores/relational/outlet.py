"""`ports.relay.Outlet` in tables."""

import time
from collections.abc import Collection, Sequence
from typing import Final

from everyitem.adapters.stores.liveness import Owner, ProcessIdentity, this_process
from everyitem.adapters.stores.relational.database import Connection
from everyitem.adapters.stores.relational.monitoring import read_backlog
from everyitem.ports.monitoring import Outbox
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import Outgoing, ParkedEvent

_RELAY: Final = "events"
_UNSENT: Final = "sent_at IS NULL AND parked_at IS NULL"
#: Positions in one statement.
_AT_ONCE: Final = 500


class TableOutlet:
    """The outbox of one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, holder: str, seconds: float) -> bool:
        clock, me = self._connection.dialect.clock, this_process()
        mine = (holder, seconds, me.host, me.boot, me.pid, me.started)
        with self._connection.writing() as database:
            row = database.execute(
                f"SELECT holder, expires_at, host, boot, pid, started, {clock} FROM relays WHERE name = ?",
                (_RELAY,),
            ).fetchone()
            if row is None:
                claimed = database.execute(
                    f"INSERT INTO relays VALUES (?, ?, {clock} + ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (_RELAY, *mine),
                )
                return claimed.rowcount == 1
            there, expires_at, *process, now = row
            if there != holder and Owner(ProcessIdentity(*process), expires_at).is_living(now):
                return False
            # a compare-and-set: another one may have been quicker since
            claimed = database.execute(
                f"UPDATE relays SET holder = ?, expires_at = {clock} + ?, host = ?, boot = ?, pid = ?, "
                "started = ? WHERE name = ? AND holder = ?",
                (*mine, _RELAY, there),
            )
        return claimed.rowcount == 1

    def give_back(self, holder: str) -> None:
        with self._connection.writing() as database:
            database.execute("DELETE FROM relays WHERE name = ? AND holder = ?", (_RELAY, holder))

    def unsent(self, limit: int, *, without: Collection[int] = ()) -> list[Outgoing]:
        others = f"AND execution_key NOT IN ({_places(without)}) " if without else ""
        with self._connection.reading() as database:
            rows = database.execute(
                "SELECT execution_key, batch_id, event_id, type, subject, time, data, position, traceparent "
                f"FROM outbox JOIN executions USING (execution_key) WHERE {_UNSENT} {others}"
                "ORDER BY position LIMIT ?",
                (*without, limit),
            ).fetchall()
        return [Outgoing(key, batch_id, OutboxEvent(*event)) for key, batch_id, *event in rows]

    def sent(self, positions: Sequence[int]) -> None:
        now = time.time()
        with self._connection.writing() as database:
            for first in range(0, len(positions), _AT_ONCE):
                some = positions[first : first + _AT_ONCE]
                database.execute(
                    f"UPDATE outbox SET sent_at = ? WHERE position IN ({_places(some)})", (now, *some)
                )

    def park(self, position: int, refusal: str) -> None:
        with self._connection.writing() as database:
            database.execute(
                f"UPDATE outbox SET parked_at = ?, refusal = ? WHERE position = ? AND {_UNSENT}",
                (time.time(), refusal, position),
            )

    def backlog(self) -> Outbox:
        with self._connection.reading() as database:
            return read_backlog(database)

    def parked(self, limit: int) -> list[ParkedEvent]:
        with self._connection.reading() as database:
            rows = database.execute(
                "SELECT event_id, refusal FROM outbox WHERE parked_at IS NOT NULL ORDER BY position LIMIT ?",
                (limit,),
            ).fetchall()
        return [ParkedEvent(*row) for row in rows]

    def unpark(self, batch_id: str | None = None) -> int:
        with self._connection.writing() as database:
            return database.execute(
                "UPDATE outbox SET parked_at = NULL, refusal = '' WHERE parked_at IS NOT NULL "
                "AND execution_key IN "
                "(SELECT execution_key FROM executions WHERE batch_id = coalesce(?, batch_id))",
                (batch_id,),
            ).rowcount

    def close(self) -> None:
        self._connection.close()


def _places(values: Collection[int]) -> str:
    return ", ".join("?" * len(values))
