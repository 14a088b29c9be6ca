"""`ports.inbox.Inbox` in tables."""

import time
from collections.abc import Sequence

import msgspec

from everyitem.adapters.stores.relational.database import Connection, Database
from everyitem.model.status import ExecutionStatus
from everyitem.ports.inbox import IncomingEvent, ItemCompleted

_json = msgspec.json.Encoder().encode


class TableInbox:
    """The events that came into one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def receive(self, events: Sequence[tuple[IncomingEvent, ItemCompleted]]) -> list[bool]:
        # two who take in the same events would wait for each other if they came upon them in different orders
        by_id = sorted(
            range(len(events)), key=lambda number: (events[number][0].source, events[number][0].event_id)
        )
        new: set[int] = set()
        with self._connection.writing() as database:
            at = time.time()
            new.update(number for number in by_id if _remember(database, events[number][0], at))
            told = [
                (event.batch_id, completed)
                for number, (event, completed) in enumerate(events)
                if number in new
            ]
            # sorting keeps the order of those about the same attempt
            told.sort(key=lambda one: (one[0], one[1].execution or 0, one[1].item_id, one[1].attempt))
            for batch_id, completed in told:
                _add_completion(database, batch_id, completed)
        return [number in new for number in range(len(events))]

    def close(self) -> None:
        self._connection.close()


def _remember(database: Database, event: IncomingEvent, at: float) -> bool:
    """Whether the event is new."""
    added = database.execute(
        "INSERT INTO incoming_events (source, event_id, type, batch_id, received_at) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (event.source, event.event_id, event.type, event.batch_id, at),
    )
    return added.rowcount == 1


def _add_completion(database: Database, batch_id: str, completed: ItemCompleted) -> None:
    """The first word about an attempt counts; a later round begins its attempts anew."""
    found = database.execute(
        "SELECT execution, round, status FROM executions JOIN execution_states USING (execution_key) "
        "WHERE batch_id = ? AND execution = coalesce(?, execution) ORDER BY execution DESC LIMIT 1",
        (batch_id, completed.execution),
    ).fetchone()
    execution, round_, status = found or (completed.execution or 1, 1, ExecutionStatus.QUEUED)
    if ExecutionStatus(status).is_finished:
        return
    failure = completed.failure
    database.execute(
        "INSERT INTO completions (batch_id, execution, round, item_id, attempt, succeeded, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(batch_id, execution, round_, completed.item_id, completed.attempt),
            failure is None,
            completed.result if failure is None else _json(failure),
        ),
    )
