"""What the tables' code asks of a database, and the few things databases say differently.

Statements are written in the SQL that SQLite and PostgreSQL share, with `?` for values.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """Fragments of SQL that have no common form."""

    #: Epoch seconds now, by the store's own clock: what leases are measured with.
    clock: str
    #: `item_index IN (...)` over one value, a JSON list of integers: any number of them in one statement.
    among: str


class Result(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Database(Protocol):
    """An open connection to a database."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Result:
        """Carry out one statement."""
        ...


class Connection(Protocol):
    """A connection usable from any thread, one at a time; opened on first use and again after errors.

    What goes wrong is raised as a `StoreError`; after one the connection has been closed.
    """

    dialect: Dialect

    def reading(self) -> AbstractContextManager[Database]:
        """The database, for statements that each are their own short transaction."""
        ...

    def snapshot(self) -> AbstractContextManager[Database]:
        """One read transaction: everything read belongs to the same moment, also by `reading` inside it."""
        ...

    def writing(self) -> AbstractContextManager[Database]:
        """One write transaction, durable when this returns; all of it or, on any exception, nothing.

        After a `StoreError` only reading tells whether the transaction happened.
        """
        ...

    def note_size(self, size: int) -> None:
        """Inside a write transaction: about how many bytes of blobs it writes."""
        ...

    def close(self) -> None:
        """Free everything; the next use opens again."""
        ...


#: Keeps the largest statement (13 columns) below the 999 variables old versions of SQLite allow.
_ROWS_AT_ONCE = 64


def insert_rows(database: Database, into: str, rows: list[tuple[Any, ...]], conflict: str = "") -> None:
    """Insert many rows with few statements; `into` is `INSERT ... VALUES` without the values.

    Each statement lets go of the GIL and may wait 5 ms to get it back from a thread that computes, and
    a server is a round trip away; a hundred rows in one statement are a hundred times kinder.
    """
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        places = "(" + ",".join("?" * len(part[0])) + ")"
        statement = f"{into} {','.join([places] * len(part))} {conflict}"
        database.execute(statement, [value for row in part for value in row])
