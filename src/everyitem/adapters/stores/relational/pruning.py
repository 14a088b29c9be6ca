"""Giving up what was stored of executions that finished long ago (`ports.retention`).

First the execution is marked, in one transaction that holds only if nobody has it and it is still finished:
from then on nobody reads or redrives it. Its rows go after that in transactions short enough to leave
others their turn; the input comes last, so that an execution with input rows is one to go on with.
"""

from typing import Final

from everyitem.adapters.stores.relational.database import Connection
from everyitem.model.status import ExecutionStatus
from everyitem.ports.retention import Expired

#: Rows with large bodies, and the column that numbers them; the last one tells whether anything is left.
_LARGE: Final = (("segments", "sequence"), ("outbox", "position"), ("input_chunks", "chunk"))
#: Rows that are small, or few.
_SMALL: Final = (
    *("corrections", "rounds", "discarded_segments", "failed_items", "pending_retries", "intents"),
    *("controls", "deferrals"),
)
#: What events said of its items, and the events; those that came later may be about another execution.
_EVENTS: Final = (
    (
        "DELETE FROM completions WHERE (batch_id, execution) IN "
        "(SELECT batch_id, execution FROM executions WHERE execution_key = ?)"
    ),
    (
        "DELETE FROM allocations WHERE (batch_id, execution) IN "
        "(SELECT batch_id, execution FROM executions WHERE execution_key = ?)"
    ),
    (
        "DELETE FROM incoming_events WHERE EXISTS (SELECT 1 FROM executions JOIN execution_states "
        "USING (execution_key) WHERE execution_key = ? AND executions.batch_id = incoming_events.batch_id "
        "AND incoming_events.received_at <= finished_at)"
    ),
)
_FINISHED: Final = ", ".join(f"'{status}'" for status in ExecutionStatus if status.is_finished)
#: What events said of a batch that has not come, although none of them is young.
_OF_NO_BATCH: Final = (
    "NOT EXISTS (SELECT 1 FROM executions WHERE executions.batch_id = {table}.batch_id) "
    "AND NOT EXISTS (SELECT 1 FROM incoming_events "
    "WHERE incoming_events.batch_id = {table}.batch_id AND received_at >= ?)"
)
_COMPLETIONS: Final = (
    "DELETE FROM completions WHERE position IN "
    f"(SELECT position FROM completions WHERE {_OF_NO_BATCH.format(table='completions')} LIMIT ?)"
)
_ALLOCATIONS: Final = (
    "DELETE FROM allocations WHERE (batch_id, execution) IN (SELECT batch_id, execution FROM allocations "
    f"WHERE {_OF_NO_BATCH.format(table='allocations')} LIMIT ?)"
)
#: Events of such batches, and those that came when every execution of theirs had long finished.
_INCOMING: Final = (
    "DELETE FROM incoming_events WHERE (source, event_id) IN (SELECT source, event_id FROM incoming_events "
    "WHERE received_at < ? AND NOT EXISTS (SELECT 1 FROM executions JOIN execution_states "
    "USING (execution_key) WHERE executions.batch_id = incoming_events.batch_id "
    f"AND (status NOT IN ({_FINISHED}) OR finished_at >= ?)) LIMIT ?)"
)
#: Small rows deleted at a time.
_EVENTS_AT_ONCE: Final = 5000
#: Large rows deleted at a time: some megabytes, some ten milliseconds of the write lock.
_AT_ONCE: Final = 64

_IS_FINISHED: Final = f"status IN ({_FINISHED}) AND finished_at < ?"
_IS_KEPT: Final = (
    "(pruned_at IS NULL OR EXISTS (SELECT 1 FROM input_chunks "
    "WHERE input_chunks.execution_key = executions.execution_key))"
)


def expired(connection: Connection, finished_before: float, limit: int | None) -> list[Expired]:
    """Finished executions of which something is kept, the oldest first."""
    statement = (
        "SELECT executions.execution_key, batch_id, execution, item_count, finished_at "
        "FROM executions JOIN execution_states USING (execution_key) "
        f"WHERE {_IS_FINISHED} AND {_IS_KEPT} ORDER BY finished_at, executions.execution_key"
    )
    with connection.reading() as database:
        found = (
            database.execute(statement, (finished_before,))
            if limit is None
            else database.execute(f"{statement} LIMIT ?", (finished_before, limit))
        )
        return [
            Expired(execution_key=key, batch_id=batch_id, execution=number, item_count=count, finished_at=at)
            for key, batch_id, number, count, at in found.fetchall()
        ]


def mark(connection: Connection, execution_key: int, finished_before: float) -> bool:
    """Say that it is pruned; the caller owns it. False when it has run again since."""
    with connection.writing() as database:
        marked = database.execute(
            f"UPDATE execution_states SET pruned_at = coalesce(pruned_at, {connection.dialect.clock}) "
            f"WHERE execution_key = ? AND {_IS_FINISHED}",
            (execution_key, finished_before),
        ).rowcount
    return marked == 1


def delete(connection: Connection, execution_key: int) -> None:
    """Delete what was stored of a marked execution; may be stopped at any moment and begun again."""
    with connection.writing() as database:
        for table in _SMALL:
            database.execute(f"DELETE FROM {table} WHERE execution_key = ?", (execution_key,))
        for statement in _EVENTS:
            database.execute(statement, (execution_key,))
    for table, number in _LARGE:
        while _delete_some(connection, table, number, execution_key):
            pass


def _delete_some(connection: Connection, table: str, number: str, execution_key: int) -> bool:
    """Delete some rows; whether there may be more."""
    with connection.writing() as database:
        deleted = database.execute(
            f"DELETE FROM {table} WHERE execution_key = ? AND {number} IN "
            f"(SELECT {number} FROM {table} WHERE execution_key = ? ORDER BY {number} LIMIT ?)",
            (execution_key, execution_key, _AT_ONCE),
        ).rowcount
    return deleted == _AT_ONCE


def forget_events(connection: Connection, received_before: float) -> int:
    """Delete what nobody waits for any more; how many events that were."""
    for statement in (_COMPLETIONS, _ALLOCATIONS):
        while _delete_rows(connection, statement, received_before):
            pass
    forgotten = 0
    while some := _delete_rows(connection, _INCOMING, received_before, received_before):
        forgotten += some
    return forgotten


def _delete_rows(connection: Connection, statement: str, *values: float) -> int:
    with connection.writing() as database:
        return database.execute(statement, (*values, _EVENTS_AT_ONCE)).rowcount
