"""Rows of executions as the port's records."""

import hashlib
from typing import Any

import msgspec

from everyitem.adapters.stores.liveness import Owner, ProcessIdentity
from everyitem.adapters.stores.relational.database import Database, Dialect
from everyitem.model.errors import UsageError
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Counters
from everyitem.ports.execution import ExecutionRecord, NewExecution
from everyitem.ports.progress import Progress
from everyitem.ports.queue import Wish

_encode = msgspec.msgpack.Encoder().encode
_decode_counters = msgspec.json.Decoder(Counters).decode
_decode_progress = msgspec.json.Decoder(Progress).decode

_OWNER = ("owner_expires_at", "owner_host", "owner_boot", "owner_pid", "owner_started")
#: Columns of an execution's record, in the order they are read.
_COLUMNS = (
    *(
        "execution_key",
        "batch_id",
        "execution",
        "content",
        "items_digest",
        "item_count",
        "named",
        "processor",
    ),
    *("processor_code", "created_at", "envelope", "settings", "source"),
    *("status", "round", "runs", "last_checkpoint_at", "finished_at", "pruned_at", "counters", "progress"),
    *_OWNER,
)
_RESPONSE = (
    "(SELECT body FROM responses WHERE responses.execution_key = executions.execution_key "
    "ORDER BY response_key DESC LIMIT 1) AS response, "
    "(SELECT count(*) FROM intents WHERE intents.execution_key = executions.execution_key) AS intents, "
    "(SELECT count(*) FROM intents WHERE intents.execution_key = executions.execution_key "
    "AND doubt <> '') AS doubts, "
    "(SELECT wish FROM tickets WHERE tickets.execution_key = executions.execution_key) AS wish, "
    "(SELECT runs_before FROM tickets WHERE tickets.execution_key = executions.execution_key) "
    "AS runs_before, "
    "(SELECT count(*) FROM deferrals WHERE deferrals.execution_key = executions.execution_key) AS deferrals"
)


def chain_of(new: NewExecution, created_at: float) -> bytes:
    """The execution's chain id: SHA-256 over all it was stored with."""
    return hashlib.sha256(_encode((new, created_at))).digest()


def stored_chain(database: Database, execution_key: int) -> bytes:
    """The chain id derived again from the columns of the execution."""
    row = database.execute(
        "SELECT batch_id, execution, content, items_digest, item_count, named, processor, processor_code, "
        "envelope, settings, source, created_at FROM executions WHERE execution_key = ?",
        (execution_key,),
    ).fetchone()
    *columns, created_at = row
    named = NewExecution.__struct_fields__.index("named")
    columns[named] = bool(columns[named])
    return chain_of(
        NewExecution(**dict(zip(NewExecution.__struct_fields__, columns, strict=True))), created_at
    )


class Identity(msgspec.Struct, frozen=True):
    """What proving an execution's records needs to know of it."""

    execution_key: int
    item_count: int
    chain: bytes
    named: bool
    items_digest: str
    round: int
    last_sequence: int
    last_digest: bytes
    status: ExecutionStatus
    counters: Counters


def read_identity(database: Database, execution_key: int) -> Identity:
    """Raises `UsageError` when there is no such execution, `msgspec.ValidationError` for damaged values."""
    row = database.execute(
        "SELECT item_count, chain, named, items_digest, round, last_sequence, last_digest, status, counters "
        "FROM executions JOIN execution_states USING (execution_key) WHERE execution_key = ?",
        (execution_key,),
    ).fetchone()
    if row is None:
        raise _absent(execution_key)
    count, chain, named, digest, round_, sequence, last, status, counters = row
    return msgspec.convert(
        {
            "execution_key": execution_key,
            "item_count": count,
            "chain": chain,
            "named": bool(named),
            "items_digest": digest,
            "round": round_,
            "last_sequence": sequence,
            "last_digest": last,
            "status": status,
            "counters": _decode_counters(counters),
        },
        Identity,
    )


class Holding(msgspec.Struct, frozen=True):
    """Who has an execution, as of one look."""

    #: Dead or alive; None when nobody has it.
    owner: Owner | None
    token: int
    #: Transactions of owners so far.
    writes: int
    chain: bytes
    #: Epoch seconds of the look, by the store's clock.
    now: float


def read_holding(database: Database, dialect: Dialect, execution_key: int) -> Holding:
    """Raises `UsageError` when there is no such execution."""
    names = (*_OWNER, "owner_token", "owner_writes", "chain", "now")
    found = database.execute(
        f"SELECT {', '.join(names[:-1])}, {dialect.clock} "
        "FROM executions JOIN execution_states USING (execution_key) WHERE execution_key = ?",
        (execution_key,),
    ).fetchone()
    if found is None:
        raise _absent(execution_key)
    row = dict(zip(names, found, strict=True))
    return Holding(owner_of(row), row["owner_token"], row["owner_writes"], row["chain"], row["now"])


def _absent(execution_key: int) -> UsageError:
    return UsageError(f"the store holds no execution with key {execution_key}")


def latest(database: Database, dialect: Dialect, batch_id: str) -> ExecutionRecord | None:
    """The last execution of a batch."""
    return _one(database, dialect, "WHERE batch_id = ? ORDER BY execution DESC LIMIT 1", batch_id)


def numbered(database: Database, dialect: Dialect, batch_id: str, execution: int) -> ExecutionRecord | None:
    """One execution of a batch."""
    return _one(database, dialect, "WHERE batch_id = ? AND execution = ?", batch_id, execution)


def all_records(database: Database, dialect: Dialect) -> list[ExecutionRecord]:
    """Every execution, newest first."""
    return [_record(row) for row in _rows(database, dialect, "ORDER BY execution_key DESC")]


def owned_records(database: Database, dialect: Dialect) -> list[ExecutionRecord]:
    """Executions that have an owner, dead or alive, newest first."""
    where = "WHERE owner_expires_at IS NOT NULL ORDER BY execution_key DESC"
    return [_record(row) for row in _rows(database, dialect, where)]


def page_of_records(
    database: Database, dialect: Dialect, *, before: int | None, limit: int
) -> list[ExecutionRecord]:
    """Executions, newest first, behind an execution key."""
    where = "" if before is None else "WHERE execution_key < ? "
    values = (limit,) if before is None else (before, limit)
    rows = _rows(database, dialect, f"{where}ORDER BY execution_key DESC LIMIT ?", *values)
    return [_record(row) for row in rows]


def _one(database: Database, dialect: Dialect, where: str, *values: Any) -> ExecutionRecord | None:
    rows = _rows(database, dialect, where, *values)
    return _record(rows[0]) if rows else None


def _rows(database: Database, dialect: Dialect, where: str, *values: Any) -> list[dict[str, Any]]:
    columns = f"{', '.join(_COLUMNS)}, {_RESPONSE}, {dialect.clock}"
    found = database.execute(
        f"SELECT {columns} FROM executions JOIN execution_states USING (execution_key) {where}", values
    )
    names = (*_COLUMNS, "response", "intents", "doubts", "wish", "runs_before", "deferrals", "now")
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _record(row: dict[str, Any]) -> ExecutionRecord:
    owner = owner_of(row)
    owned = owner is not None and owner.is_living(row["now"])
    status = msgspec.convert(row["status"], ExecutionStatus)
    if (status.is_active or (status is ExecutionStatus.QUEUED and owner is not None)) and not owned:
        # its owner died before it could say so
        status = ExecutionStatus.INTERRUPTED
    at_rest = status.is_finished or status in (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
    # a ticket whose run has ended is about to be taken out
    has_ended = at_rest and not owned and row["runs"] > (row["runs_before"] or 0)
    is_queued = row["wish"] is not None and not has_ended
    return ExecutionRecord(
        execution_key=row["execution_key"],
        batch_id=row["batch_id"],
        execution=row["execution"],
        round=row["round"],
        status=status,
        content=row["content"],
        items_digest=row["items_digest"],
        item_count=row["item_count"],
        named=bool(row["named"]),
        processor=row["processor"],
        processor_code=row["processor_code"],
        envelope=row["envelope"],
        settings=row["settings"],
        source=row["source"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        pruned_at=row["pruned_at"],
        runs=row["runs"],
        counters=_decode_counters(row["counters"]),
        progress=_decode_progress(row["progress"]) if row["progress"] is not None else None,
        # the response of an earlier run or round says nothing about one that goes on
        response=row["response"] if at_rest else None,
        last_checkpoint_at=row["last_checkpoint_at"],
        owned=owned,
        in_doubt=row["doubts"] if owned else row["intents"],
        queued=is_queued,
        held=is_queued and row["wish"] == Wish.HOLD,
        deferred=row["deferrals"],
    )


def owner_of(row: dict[str, Any]) -> Owner | None:
    """Who holds the execution of this row, dead or alive; None when nobody does."""
    if row["owner_expires_at"] is None:
        return None
    process = ProcessIdentity(row["owner_host"], row["owner_boot"], row["owner_pid"], row["owner_started"])
    return Owner(process, row["owner_expires_at"])
