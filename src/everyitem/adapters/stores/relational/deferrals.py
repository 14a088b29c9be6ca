"""Deferred items in tables, and what events say of them."""

from collections.abc import Sequence

import msgspec

from everyitem.adapters.stores.relational.database import Database, Dialect, insert_rows
from everyitem.model.errors import StoreDamaged
from everyitem.ports.checkpoint import Commit
from everyitem.ports.completions import Completion, ToldFailure

_json = msgspec.json.Encoder().encode
_decode_failure = msgspec.json.Decoder(ToldFailure).decode

_REPLACE = (
    "ON CONFLICT (execution_key, item_index) DO UPDATE SET attempt = excluded.attempt, due = excluded.due, "
    "duration_us = excluded.duration_us, item_id = excluded.item_id, round = excluded.round"
)
#: An event about an attempt counts for the deferral of that attempt, and waits until it is there.
_ABOUT = (
    "FROM executions JOIN completions "
    "ON completions.batch_id = executions.batch_id AND completions.execution = executions.execution "
    "JOIN deferrals ON deferrals.execution_key = executions.execution_key "
    "AND deferrals.item_id = completions.item_id AND deferrals.round = completions.round "
)
_MATCHED = (
    f"SELECT completions.position {_ABOUT} WHERE executions.execution_key = ? "
    "AND deferrals.attempt = completions.attempt ORDER BY completions.position"
)


def change_deferrals(
    database: Database, dialect: Dialect, execution_key: int, round_: int, commit: Commit
) -> None:
    """Those that are over first: an item may be deferred again by the same commit."""
    by_attempt: dict[int, list[int]] = {}
    for index, attempt in commit.deferrals_cleared:
        by_attempt.setdefault(attempt, []).append(index)
    for attempt, indices in by_attempt.items():
        values = (execution_key, attempt, _json(indices).decode())
        database.execute(
            f"DELETE FROM completions WHERE position IN (SELECT completions.position {_ABOUT} "
            "WHERE executions.execution_key = ? AND deferrals.attempt = ? "
            f"AND completions.attempt <= deferrals.attempt AND {dialect.among})",
            values,
        )
        database.execute(
            f"DELETE FROM deferrals WHERE execution_key = ? AND attempt = ? AND {dialect.among}", values
        )
    insert_rows(
        database,
        "INSERT INTO deferrals VALUES",
        [(execution_key, *msgspec.structs.astuple(one), round_) for one in commit.deferrals_set],
        _REPLACE,
    )


def positions_of_completions(database: Database, execution_key: int) -> list[int]:
    """Of all that events say of items deferred now."""
    return [position for (position,) in database.execute(_MATCHED, (execution_key,)).fetchall()]


def read_completions(database: Database, execution_key: int, positions: Sequence[int]) -> list[Completion]:
    """What events say, by position. Raises `StoreDamaged` for what nobody wrote."""
    if not positions:
        return []
    rows = database.execute(
        f"SELECT position, item_index, completions.attempt, succeeded, body {_ABOUT} "
        "WHERE executions.execution_key = ? AND deferrals.attempt = completions.attempt "
        f"AND position IN ({', '.join('?' * len(positions))}) ORDER BY position",
        (execution_key, *positions),
    ).fetchall()
    try:
        return [
            Completion(position, index, attempt, result=body)
            if succeeded
            else Completion(position, index, attempt, failure=_decode_failure(body))
            for position, index, attempt, succeeded, body in rows
        ]
    except msgspec.MsgspecError as error:
        raise StoreDamaged(f"what an event said of an item cannot be read: {error}") from error
