"""One connection to the file, with the discipline that keeps the file sound.

- Writing happens in `BEGIN IMMEDIATE` transactions under the write lock, and so does moving the WAL into
  the database; SQLite never does the latter by itself here (`wal_autocheckpoint=0`).
- After any error the connection is closed, and the next use opens a new one: nothing a failed fsync may
  have left in memory is believed, and what it left in the log is written again first (see `wal`).
- Readers keep their transactions short, or the WAL could not be reset.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from everyitem.adapters.stores.relational.database import Dialect
from everyitem.adapters.stores.sqlite.failures import FAULTS, translated, writing_advice
from everyitem.adapters.stores.sqlite.wal import WriteAheadLog
from everyitem.adapters.stores.sqlite.write_lock import PATIENCE, WriteLock
from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import StoreError, StoreRefused

#: Bytes written after which the WAL is moved into the database.
_WAL_LIMIT = 8 << 20
#: What a transaction costs in the WAL beside its blobs: the pages of the rows it touches.
_TRANSACTION_COST = 32 << 10

#: Seconds SQLite waits for programs that do not know our lock (backup tools, a shell).
_BUSY_TIMEOUT = 5.0


_DIALECT = Dialect(
    clock="(julianday('now') - 2440587.5) * 86400.0",
    among="item_index IN (SELECT value FROM json_each(?))",
)


class Connection:
    """`relational.database.Connection` to an SQLite file."""

    dialect = _DIALECT

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._guard = threading.RLock()  # one thread at a time in `_open`ed connection and its transactions
        self._open: _Open | None = None
        self._lock: WriteLock | None = None
        #: Device and inode of the file as first opened; another one under its name is another store.
        self._identity: _Identity | None = None
        self._folder: _Identity | None = None
        #: The log, once it was seen to be another one: nothing is written from then on.
        self._gone: Path | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that each are their own short transaction."""
        with self._guard:
            opened = self._opened()
            opened.make_sure()
            try:
                yield opened.database
            except FAULTS as error:
                self.close()
                raise translated(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One read transaction: everything read belongs to the same moment."""
        with self.reading() as database:
            database.execute("BEGIN")
            try:
                yield database
            finally:
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, on disk when this returns; all of it or, on any exception, nothing.

        Raises `StoreFull`, `StoreDamaged` or `StoreError`; whether the transaction happened is then known
        only by reading.
        """
        with self._guard:
            opened = self._opened()
            if self._lock is None:
                raise StoreError(f"store {self.path} was opened for reading only")
            with self._lock.held():
                try:
                    self._refuse_replaced(self.path, self._identity)
                    opened.wal.make_sure()
                    opened.database.execute("BEGIN IMMEDIATE")
                    # the log exists from here on as long as anybody has the store open
                    opened.log = opened.log or _identity_of(_log_of(self.path))
                    self._refuse_replaced(_log_of(self.path), opened.log)
                    yield opened.database
                    opened.wal.commit(opened.database)
                    opened.move_wal()
                except BaseException as error:
                    self._abandon(opened)
                    if isinstance(error, FAULTS):
                        raise translated(error, self.path) from error
                    raise

    def note_size(self, size: int) -> None:
        """Inside a write transaction: about how many bytes of blobs it writes."""
        if self._open is not None:
            self._open.unmoved += size

    def close(self) -> None:
        """Move what is in the WAL into the database where this connection wrote, and free everything."""
        with self._guard:
            if self._open is not None:
                self._open.close()
                self._open = self._lock = None

    def _opened(self) -> "_Open":
        if self._open is None:
            if self._identity is not None:
                self._refuse_replaced(self.path, self._identity)
            try:
                if self._lock is None and not self.read_only:
                    self._lock = WriteLock(self.path)
                self._open = _Open(self.path, self._lock)
                self._identity = self._identity or _identity_of(self.path)
                self._folder = self._folder or _identity_of(self.path.parent)
            except FAULTS as error:
                raise translated(error, self.path) from error
            except OSError as error:
                raise StoreError(
                    f"store {self.path}: {error.strerror}; {writing_advice(self.path)}"
                ) from error
            # an interpreter that just ends must not make SQLite write without the lock
            weakref.finalize(self, self._open.abandon)
        return self._open

    def _abandon(self, opened: "_Open") -> None:
        """Roll back; under the lock already, so SQLite may do what it does when a connection closes."""
        with suppress(sqlite3.Error):
            opened.database.execute("ROLLBACK")
        opened.wal.close(opened.database)
        self._open = None

    def _refuse_replaced(self, path: Path, identity: "_Identity | None") -> None:
        """What is written to a file without a name, or beside another one's log, is lost or does harm."""
        gone = self._gone or (None if _identity_of(path) == identity else path)
        if gone is None:
            return
        if not self._gone and _identity_of(self.path.parent) != self._folder:
            # a volume that is not mounted just now: it may come back with all that was on it
            raise StoreError(f"store {self.path}: its folder is not there; mount or put back what held it")
        if gone != self.path:  # the file itself may be put back; what was in the log is nowhere
            self._gone = gone
        raise StoreRefused(
            f"store {self.path}: {gone.name} was removed or replaced while in use; "
            "put it back, or start again with the files that are there now"
        )


#: Device and inode of a file.
_Identity = tuple[int, int]


def _identity_of(path: Path) -> _Identity | None:
    """Which file stands under this name; None for none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


class _Open:
    """An open SQLite connection, and the lock it writes under (None for readers)."""

    def __init__(self, path: Path, lock: WriteLock | None) -> None:
        self.database = connect(path, read_only=lock is None)
        #: The log its transactions go to, once it has written.
        self.log: _Identity | None = None
        #: Bytes written since the WAL was last moved, about.
        self.unmoved = 0
        self._lock = lock
        self._wal = None if lock is None else WriteAheadLog(path, lock)

    @property
    def wal(self) -> WriteAheadLog:
        """The log of a connection that writes."""
        if self._wal is None:
            raise ValueError("a connection that only reads writes no log")
        return self._wal

    def make_sure(self) -> None:
        """Have on disk what is about to be read: who reads may tell somebody. Raises `StoreError`."""
        if self._lock is not None and self.wal.is_doubtful:
            with self._lock.held():
                self.wal.make_sure()

    def move_wal(self) -> None:
        """Move the WAL into the database when enough was written; the caller holds the lock."""
        self.unmoved += _TRANSACTION_COST
        if self.unmoved >= _WAL_LIMIT:
            self.unmoved = 0
            passing(Failpoint.WAL_BEFORE_MOVE)
            # PASSIVE never waits for readers; what they still need stays in the WAL
            self.database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            passing(Failpoint.WAL_MOVED)

    def close(self, *, patience: float = PATIENCE) -> None:
        """Close under the lock: the last connection of all makes SQLite move the WAL. Safe to repeat.

        While another keeps the lock, after `patience` seconds, the log is left as it is.
        """
        if self._lock is None:
            self.database.close()
        elif not self._lock.is_closed:
            try:
                with self._lock.held(patience=patience):
                    self._leave()
            except (StoreError, sqlite3.Error):
                self.wal.leave(self.database)
            self._lock.close()

    def abandon(self) -> None:
        """Close what nobody closed, when it is collected: perhaps in the middle of another's transaction."""
        self.close(patience=0.0)

    def _leave(self) -> None:
        self.wal.make_sure()
        if self.unmoved:
            # what readers still need stays in the WAL; nobody is waited for
            passing(Failpoint.WAL_BEFORE_CLOSE)
            self.database.execute("PRAGMA busy_timeout=0")
            self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            passing(Failpoint.WAL_CLOSED)
        self.database.close()


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A bare connection with our settings; transactions are begun and ended by hand."""
    mode = "rw"
    if read_only:
        # without its -shm file a WAL database can be read only where that file can be made, or as one that
        # does not change; nobody has it open for writing while there is no -wal file
        mode = "ro" if os.access(path.parent, os.W_OK) or _has_wal(path) else "ro&immutable=1"
    database = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute("PRAGMA cell_size_check=ON")
        database.execute("PRAGMA trusted_schema=OFF")
    except BaseException:
        database.close()
        raise
    return database


def _has_wal(path: Path) -> bool:
    return _log_of(path).exists()
