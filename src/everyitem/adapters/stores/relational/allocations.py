"""What events allocate to executions, in tables."""

import msgspec

from everyitem.adapters.stores.relational.database import Database
from everyitem.model.allocation import Allocation
from everyitem.model.errors import StoreDamaged

_json = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Allocation).decode


def put_allocation(database: Database, batch_id: str, execution: int, allocation: Allocation) -> bool:
    """Inside a write transaction: the highest version counts, whichever comes last; whether this is it."""
    put = database.execute(
        "INSERT INTO allocations (batch_id, execution, version, body) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (batch_id, execution) DO UPDATE SET version = excluded.version, body = excluded.body "
        "WHERE excluded.version > allocations.version",
        (batch_id, execution, allocation.version, _json(allocation)),
    )
    return put.rowcount == 1


def ask_for_slots(database: Database, execution_key: int, allocation: Allocation) -> None:
    """Inside a write transaction: let a service that is to carry the execution out use what is allocated."""
    least, most = allocation.least, allocation.slots
    database.execute(
        "UPDATE tickets SET most = ?, least = CASE WHEN coalesce(?, least) > ? THEN ? "
        "ELSE coalesce(?, least) END WHERE execution_key = ?",
        (most, least, most, most, least, execution_key),
    )


def read_allocation(database: Database, execution_key: int) -> Allocation | None:
    """What is allocated to an execution; None where no event said. Raises `StoreDamaged`."""
    row = database.execute(
        "SELECT body FROM allocations JOIN executions USING (batch_id, execution) WHERE execution_key = ?",
        (execution_key,),
    ).fetchone()
    if row is None:
        return None
    try:
        return _decode(row[0])
    except msgspec.MsgspecError as error:
        raise StoreDamaged(f"the allocation of execution {execution_key} cannot be read: {error}") from error
