"""`ports.inbox.Inbox` in tables."""

import time
from collections.abc import Sequence

import msgspec

from everyitem.adapters.stores.relational.allocations import ask_for_slots, put_allocation
from everyitem.adapters.stores.relational.database import Connection, Database
from everyitem.model.status import ExecutionStatus
from everyitem.ports.inbox import Effect, IncomingEvent, ItemCompleted, ResourcesGiven

_json = msgspec.json.Encoder().encode


class TableInbox:
    """The events that came into one database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def receive(self, events: Sequence[tuple[IncomingEvent, Effect]]) -> list[bool]:
        # two who take in the same events would wait for each other if they came upon them in different orders
        by_id = sorted(
            range(len(events)), key=lambda number: (events[number][0].source, events[number][0].event_id)
        )
        new: set[int] = set()
        with self._connection.writing() as database:
            at = time.time()
            new.update(number for number in by_id if remember(database, events[number][0], at))
            # sorting keeps the order of those about the same attempt
            told = sorted((events[number] for number in sorted(new)), key=_place)
            for event, effect in told:
                _carry_out(database, event.batch_id, effect)
        return [number in new for number in range(len(events))]

    def is_known(self, event: IncomingEvent) -> bool:
        with self._connection.reading() as database:
            found = database.execute(
                "SELECT 1 FROM incoming_events WHERE source = ? AND event_id = ?",
                (event.source, event.event_id),
            ).fetchone()
        return found is not None

    def close(self) -> None:
        self._connection.close()


def remember(database: Database, event: IncomingEvent, at: float) -> bool:
    """Inside a write transaction: keep by what the event is known; whether it is new."""
    added = database.execute(
        "INSERT INTO incoming_events (source, event_id, type, batch_id, received_at) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (event.source, event.event_id, event.type, event.batch_id, at),
    )
    return added.rowcount == 1


def _place(told: tuple[IncomingEvent, Effect]) -> tuple[str, int, str, int]:
    """In which order rows are written, the same for everybody."""
    event, effect = told
    match effect:
        case ItemCompleted():
            return event.batch_id, effect.execution or 0, effect.item_id, effect.attempt
        case ResourcesGiven():
            return event.batch_id, effect.execution or 0, "", effect.allocation.version
        case _:
            return event.batch_id, 0, "", 0


def _carry_out(database: Database, batch_id: str, effect: Effect) -> None:
    if not isinstance(effect, ItemCompleted | ResourcesGiven):
        return
    found = database.execute(
        "SELECT execution_key, execution, round, status FROM executions "
        "JOIN execution_states USING (execution_key) "
        "WHERE batch_id = ? AND execution = coalesce(?, execution) ORDER BY execution DESC LIMIT 1",
        (batch_id, effect.execution),
    ).fetchone()
    key, execution, round_, status = found or (None, effect.execution or 1, 1, ExecutionStatus.QUEUED)
    if ExecutionStatus(status).is_finished:
        return
    if isinstance(effect, ResourcesGiven):
        is_latest = put_allocation(database, batch_id, execution, effect.allocation)
        if is_latest and key is not None:
            ask_for_slots(database, key, effect.allocation)
    else:
        _add_completion(database, batch_id, execution, round_, effect)


def _add_completion(
    database: Database, batch_id: str, execution: int, round_: int, completed: ItemCompleted
) -> None:
    """The first word about an attempt counts; a later round begins its attempts anew."""
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
