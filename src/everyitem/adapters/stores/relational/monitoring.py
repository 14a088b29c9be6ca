"""`ports.monitoring.Monitoring` in tables."""

from everyitem.adapters.stores.relational import records
from everyitem.adapters.stores.relational.database import Connection, Database
from everyitem.model.status import ExecutionStatus
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.monitoring import Outbox


class TableMonitoring:
    """The state of one database's executions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def active(self) -> list[ExecutionRecord]:
        with self._connection.reading() as database:
            return records.owned_records(database, self._connection.dialect)

    def states(self) -> dict[str, int]:
        with self._connection.reading() as database:
            rows = database.execute(
                "SELECT status, count(*) FROM execution_states GROUP BY status"
            ).fetchall()
        counts: dict[str, int] = dict(rows)
        for record in self.active():
            if record.status is ExecutionStatus.INTERRUPTED and not record.owned:
                # its row still says what its owner said last
                said = next((one for one in ("RUNNING", "PAUSED", "QUEUED") if counts.get(one)), None)
                if said is not None:
                    counts[said] -= 1
                    counts[record.status] = counts.get(record.status, 0) + 1
        return {status: counts.get(status, 0) for status in ExecutionStatus}

    def outbox(self) -> Outbox:
        with self._connection.reading() as database:
            return read_backlog(database)

    def close(self) -> None:
        self._connection.close()


def read_backlog(database: Database) -> Outbox:
    """The events that are still to be published."""
    count, oldest = database.execute(
        "SELECT count(*), min(time) FROM outbox WHERE sent_at IS NULL AND parked_at IS NULL"
    ).fetchone()
    return Outbox(count, oldest)
