"""The write-ahead log, and the doubt that an unfinished commit leaves about it.

After a failed fsync the kernel takes the pages for written: whoever reads them finds them as long as the
machine runs, and they are on no disk (Rebello et al., "Can Applications Recover from fsync Failures?",
USENIX ATC 2020). SQLite would append the next commits behind such a hole, and move what is in it into the
database; each of them synced, and all of them lost or torn when the power goes. So a commit marks the log as
doubtful before it begins and trusted when it is done, and who finds it doubtful writes all of it once more,
which makes the pages dirty again, before anything is built on it.

The mark is the size of the lock file: every process sees it, no full disk can refuse it, and it need not
outlive a power cut, after which SQLite believes only what the log's own checksums prove.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from everyitem.adapters.stores.sqlite.write_lock import WriteLock
from everyitem.model.errors import StoreError

#: Bytes written again at a time.
_PIECE = 1 << 20


class WriteAheadLog:
    """The log beside a database, as its writers see it.

    Everything but `is_doubtful` and `leave` is done under the lock.
    """

    def __init__(self, database: Path, lock: WriteLock) -> None:
        self._database = database
        self._lock = lock

    @property
    def path(self) -> Path:
        """Where SQLite keeps it."""
        return self._database.with_name(f"{self._database.name}-wal")

    @property
    def is_doubtful(self) -> bool:
        """Whether some of what it shows may be on no disk: a commit runs, failed, or was killed."""
        return self._lock.is_marked

    def commit(self, database: sqlite3.Connection) -> None:
        """End the transaction; what it wrote is on disk when this returns.

        Raises `sqlite3.Error`; the log is then doubtful, and whether the transaction happened is known only
        by reading.
        """
        self._lock.mark()
        database.execute("COMMIT")
        self._lock.unmark()

    def make_sure(self) -> None:
        """Put all that the log shows on disk, where that is in doubt.

        Raises `StoreError` when the disk refuses it; nothing may be written to the store then.
        """
        if not self.is_doubtful:
            return
        try:
            self._write_again()
        except OSError as error:
            raise StoreError(
                f"store {self._database}: a write failed, and failed again ({error.strerror}); "
                "check the disk, then resume"
            ) from error
        self._lock.unmark()

    def close(self, database: sqlite3.Connection) -> None:
        """Close a connection; the last one of all moves the log into the database if it is beyond doubt."""
        try:
            self.make_sure()
        except StoreError:
            self.leave(database)
        else:
            database.close()

    def leave(self, database: sqlite3.Connection) -> None:
        """Close a connection, and let the log be as it is."""
        with self._another_open():
            database.close()

    def _write_again(self) -> None:
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            offset = 0
            while piece := os.pread(file, _PIECE, offset):
                offset += _write(file, piece, offset)
            _sync(file)
        finally:
            os.close(file)

    @contextmanager
    def _another_open(self) -> Iterator[None]:
        """A connection that only reads, so that no other is the last one, which would move the log.

        SQLite's switch for that (`SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE`) can be reached from Python 3.12 on.
        """
        reader = None
        with suppress(sqlite3.Error):
            reader = sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True, check_same_thread=False)
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        try:
            yield
        finally:
            if reader is not None:
                reader.close()


def _write(file: int, piece: bytes, offset: int) -> int:
    """The same bytes to the same place: nobody who reads meanwhile can tell."""
    return os.pwrite(file, piece, offset)


def _sync(file: int) -> None:
    os.fsync(file)
