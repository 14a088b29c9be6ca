"""What the transactions of an owner insert, with as few statements as can be."""

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from everyitem.adapters.stores.relational.database import Database, Dialect, insert_rows
from everyitem.adapters.stores.relational.deferrals import change_deferrals
from everyitem.adapters.stores.rounds import StoredRound
from everyitem.adapters.stores.segments import StoredSegment
from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import UsageError
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit, Counters

_encode = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode
_decode_counters = msgspec.json.Decoder(Counters).decode
_fields = msgspec.structs.astuple


def _replacing(*columns: str) -> str:
    """A row that is there already gets the new values."""
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"ON CONFLICT (execution_key, item_index) DO UPDATE SET {changes}"


_REPLACE_FAILED = _replacing("item_id", "attempts", "code", "type", "message", "duration_ms", "frames")
_REPLACE_RETRY = _replacing("attempts", "due", "alone")
_REPLACE_INTENT = _replacing("attempt", "doubt")


def insert_commit(
    database: Database,
    dialect: Dialect,
    execution_key: int,
    round_: int,
    commit: Commit,
    segments: list[StoredSegment],
    now: float,
) -> None:
    """Everything of a commit but the state row, which the guard has written already."""
    insert_rows(
        database,
        "INSERT INTO segments VALUES",
        [(execution_key, *_fields(segment)) for segment in segments],
    )
    passing(Failpoint.COMMIT_SEGMENTS_INSERTED)
    _change_retries(database, dialect, execution_key, commit)
    if commit.intents_cleared or commit.intents_set:
        _change_intents(database, dialect, execution_key, commit)
    if commit.deferrals_cleared or commit.deferrals_set:
        change_deferrals(database, dialect, execution_key, round_, commit)
    passing(Failpoint.COMMIT_RETRIES_CHANGED)
    insert_rows(
        database,
        "INSERT INTO failed_items VALUES",
        [
            (
                execution_key,
                item.index,
                item.item_id,
                item.attempts,
                item.code,
                item.type,
                item.message,
                item.duration_ms,
                _encode(item.frames),
            )
            for item in commit.failed
        ],
        _REPLACE_FAILED,
    )
    passing(Failpoint.COMMIT_FAILURES_INSERTED)
    insert_rows(
        database,
        "INSERT INTO outbox (execution_key, event_id, type, subject, time, data, traceparent) VALUES",
        [
            (
                execution_key,
                event.event_id,
                event.type,
                event.subject,
                event.time,
                event.data,
                commit.traceparent,
            )
            for event in commit.events
        ],
    )
    passing(Failpoint.COMMIT_EVENTS_INSERTED)
    if commit.response is not None:
        database.execute(
            "INSERT INTO responses (execution_key, round, recorded_at, body) VALUES (?, ?, ?, ?)",
            (execution_key, round_, now, commit.response),
        )
        passing(Failpoint.ANSWER_INSERTED)


def _change_retries(database: Database, dialect: Dialect, execution_key: int, commit: Commit) -> None:
    """Cleared ones first: an item that failed again is cleared and set by the same commit."""
    if commit.retries_cleared:
        database.execute(
            f"DELETE FROM pending_retries WHERE execution_key = ? AND {dialect.among}",
            (execution_key, _json_list(commit.retries_cleared)),
        )
    insert_rows(
        database,
        "INSERT INTO pending_retries VALUES",
        [(execution_key, *_fields(retry)) for retry in commit.retries_set],
        _REPLACE_RETRY,
    )


def _change_intents(database: Database, dialect: Dialect, execution_key: int, commit: Commit) -> None:
    if commit.intents_cleared:
        database.execute(
            f"DELETE FROM intents WHERE execution_key = ? AND {dialect.among}",
            (execution_key, _json_list(commit.intents_cleared)),
        )
    insert_rows(
        database,
        "INSERT INTO intents VALUES",
        [(execution_key, *_fields(intent)) for intent in commit.intents_set],
        _REPLACE_INTENT,
    )


def insert_round(
    database: Database,
    dialect: Dialect,
    execution_key: int,
    opened: StoredRound,
    corrections: list[tuple[int, int, int, bytes, bytes]],
    indices: set[int],
) -> None:
    """A new round over failed items, which count as failed no longer.

    Raises `UsageError` when one of them has not failed.
    """
    reopened = delete_failed(database, dialect, execution_key, indices)
    if reopened != len(indices):
        raise UsageError(
            f"only {reopened} of these {len(indices)} items count as failed; a round opens over failed items"
        )
    passing(Failpoint.ROUND_REOPENED)
    database.execute("INSERT INTO rounds VALUES (?, ?, ?, ?, ?)", (execution_key, *_fields(opened)))
    insert_rows(database, "INSERT INTO corrections VALUES", list(corrections))
    counters = _counters(database, execution_key)
    _set_counters(database, execution_key, replace(counters, failed=counters.failed - reopened, totals={}))


def give_up_outcomes(database: Database, execution_key: int, *, succeeded: int, failed: int) -> None:
    """Outcomes are no longer believed, these many are left: the execution is finished no more.

    In the same transaction, or whoever comes after a crash would be given the response that counted them.
    """
    counters = _counters(database, execution_key)
    _set_counters(database, execution_key, replace(counters, succeeded=succeeded, failed=failed, totals={}))
    database.execute(
        "UPDATE execution_states SET status = ? WHERE execution_key = ? AND status IN (?, ?)",
        (
            *(ExecutionStatus.INTERRUPTED, execution_key),
            *(ExecutionStatus.COMPLETED, ExecutionStatus.COMPLETED_WITH_ERRORS),
        ),
    )


def _counters(database: Database, execution_key: int) -> Counters:
    row = database.execute(
        "SELECT counters FROM execution_states WHERE execution_key = ?", (execution_key,)
    ).fetchone()
    return _decode_counters(row[0])


def _set_counters(database: Database, execution_key: int, counters: Counters) -> None:
    database.execute(
        "UPDATE execution_states SET counters = ? WHERE execution_key = ?",
        (_json(counters).decode(), execution_key),
    )


def delete_failed(database: Database, dialect: Dialect, execution_key: int, indices: Collection[int]) -> int:
    """These items count as failed no longer; returns how many of them did."""
    return database.execute(
        f"DELETE FROM failed_items WHERE execution_key = ? AND {dialect.among}",
        (execution_key, _json_list(indices)),
    ).rowcount


def _json_list(indices: Collection[int]) -> str:
    """Any number of indices as one bound value, so that the statement is prepared once."""
    return _json(list(indices)).decode()
