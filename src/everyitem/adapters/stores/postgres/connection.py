"""One connection to the server, closed after every error and opened again on the next use.

The server may be stopped, or the way to it cut, at any moment, also between a COMMIT and its answer. Nothing
is believed of a connection that failed; what became of the transaction is found out by reading.
"""

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.types.numeric import Int8BinaryDumper

from everyitem.adapters.stores.liveness import LEASE
from everyitem.adapters.stores.postgres.failures import FAULTS, translated
from everyitem.adapters.stores.postgres.place import Place
from everyitem.adapters.stores.postgres.texts import teach
from everyitem.adapters.stores.relational.database import Dialect
from everyitem.model.errors import EveryitemError, StoreError

#: Seconds to wait for the answer to one statement before the connection is given up: a server, or something
#: on the way to it, may take what is sent and never answer.
ANSWER = 30.0

_DIALECT = Dialect(
    clock="CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)",
    among="item_index IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(? AS JSON)))",
)

#: A stopped owner must not hold the rows of an unfinished transaction beyond its lease, and what is
#: committed must be on disk whatever the server's default; a stricter one stands.
_SESSION = """
SELECT set_config('search_path', %s, false),
    set_config('idle_in_transaction_session_timeout', %s, false),
    set_config('default_transaction_read_only', %s, false),
    set_config('synchronous_commit',
        CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
            ELSE current_setting('synchronous_commit') END, false),
    current_setting('server_encoding')
"""

T = TypeVar("T")


class _Session(psycopg.Connection[tuple[Any, ...]]):
    """A libpq connection that does not wait for ever."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        return super().wait(gen, interval, ANSWER if timeout is None else timeout)


class _Database:
    """`relational.database.Database` over a session."""

    def __init__(self, session: _Session) -> None:
        self.session = session

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        return self.session.execute(_with_places(statement), values or None, binary=True)

    def commit(self) -> None:
        """End the transaction for good; a server that rolls back instead says so without an error."""
        said = self.execute("COMMIT").statusmessage
        if said != "COMMIT":
            raise psycopg.OperationalError(f"the server answered COMMIT with {said}")


class Connection:
    """`relational.database.Connection` to a PostgreSQL server."""

    dialect = _DIALECT

    def __init__(self, place: Place, *, read_only: bool = False) -> None:
        self.place = place
        self.read_only = read_only
        self._guard = threading.RLock()  # one thread at a time in `_open` and its transactions
        self._open: _Database | None = None

    @contextmanager
    def reading(self) -> Iterator[_Database]:
        """The database, for statements that each are their own short transaction."""
        with self._guard:
            opened = self._opened()
            try:
                yield opened
            except FAULTS as error:
                self.close()
                raise translated(error, self.place) from error

    @contextmanager
    def snapshot(self) -> Iterator[_Database]:
        """One read transaction: everything read belongs to the same moment."""
        with self.reading() as database:
            database.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield database
            finally:
                with suppress(psycopg.Error):
                    database.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[_Database]:
        """One write transaction, on disk when this returns; all of it or, on any exception, nothing.

        Raises `StoreFull`, `StoreDamaged` or `StoreError`; whether the transaction happened is then known
        only by reading.
        """
        with self._guard:
            if self.read_only:
                raise StoreError(f"store {self.place} was opened for reading only")
            opened = self._opened()
            try:
                # what a role or a server has as its default must not decide how the proof of ownership works
                opened.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                yield opened
                opened.commit()
            except EveryitemError:
                self._roll_back(opened)
                raise
            except BaseException as error:
                self.close()
                if isinstance(error, FAULTS):
                    raise translated(error, self.place) from error
                raise

    def note_size(self, size: int) -> None:
        """Nothing here depends on it."""

    def close(self) -> None:
        """Free everything; the next use opens again."""
        with self._guard:
            if self._open is not None:
                self._leave()
                self._open = None

    def session(self) -> _Session:
        """The libpq connection, to look at."""
        with self._guard:
            return self._opened().session

    def _opened(self) -> _Database:
        if self._open is None:
            try:
                session = self._connected()
            except psycopg.Error as error:
                raise translated(error, self.place) from error
            self._open = _Database(session)
            # an owner that is simply dropped leaves no connection behind
            self._leave = weakref.finalize(self, session.close)
        return self._open

    def _connected(self) -> _Session:
        session = _Session.connect(self.place.conninfo, autocommit=True, **self.place.parameters())
        try:
            # one type for all integers, so that a statement is prepared once
            session.adapters.register_dumper(int, Int8BinaryDumper)
            teach(session)
            # whoever only reads holds nobody up, and may take his time over what he has read
            silence, read_only = ("0", "on") if self.read_only else (str(int(LEASE * 1000)), "off")
            asked = (self.place.schema, silence, read_only)
            *_, encoding = session.execute(_SESSION, asked).fetchone() or ("",)
            if encoding != "UTF8":
                raise StoreError(
                    f"store {self.place}: the database is encoded in {encoding}; create one in UTF8"
                )
        except BaseException:
            session.close()
            raise
        return session

    def _roll_back(self, opened: _Database) -> None:
        try:
            opened.execute("ROLLBACK")
        except psycopg.Error:
            self.close()


@lru_cache(maxsize=512)
def _with_places(statement: str) -> bytes:
    """The statement as psycopg wants it; none of ours holds a question or percent mark of its own."""
    return statement.replace("?", "%s").encode()
