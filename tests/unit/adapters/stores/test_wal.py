"""What a commit that was not seen to its end leaves in the log is on disk before anybody builds on it."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from everyitem.adapters.stores.sqlite import wal
from everyitem.adapters.stores.sqlite.connection import Connection, connect
from everyitem.adapters.stores.sqlite.migrations import known_migrations, migrate
from everyitem.adapters.stores.sqlite.wal import WriteAheadLog
from everyitem.adapters.stores.sqlite.write_lock import WriteLock
from everyitem.model.errors import StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store in use: its log is there, and not empty."""
    path = tmp_path / "s.db"
    path.touch()
    migrate(path, known_migrations())
    return path


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the log without SQLite, in order."""
    done: list[str] = []
    real_write, real_sync = wal._write, wal._sync

    def write(file: int, piece: bytes, offset: int) -> int:
        done.append("write")
        return real_write(file, piece, offset)

    def sync(file: int) -> None:
        done.append("sync")
        real_sync(file)

    monkeypatch.setattr(wal, "_write", write)
    monkeypatch.setattr(wal, "_sync", sync)
    return done


def begun(path: Path) -> WriteLock:
    """A lock as a commit leaves it that was killed half-way."""
    lock = WriteLock(path)
    lock.mark()
    return lock


def insert(connection: Connection) -> None:
    with connection.writing() as database:
        database.execute("CREATE TABLE IF NOT EXISTS probe (x)")
        database.execute("INSERT INTO probe VALUES (1)")


def look(connection: Connection) -> None:
    with connection.reading() as database:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()


def test_a_commit_that_was_done_leaves_no_doubt(path: Path, written: list[str]) -> None:
    """The usual case costs nothing but the mark."""
    connection = Connection(path)
    insert(connection)
    insert(connection)
    assert written == []
    connection.close()


@pytest.mark.parametrize("use", [insert, look], ids=["writes", "reads"])
def test_a_doubtful_log_is_written_again_before_anybody(
    use: Callable[[Connection], None], path: Path, written: list[str]
) -> None:
    """A writer would build on it, a reader would tell somebody."""
    other = Connection(path)
    insert(other)
    content = path.with_name("s.db-wal").read_bytes()
    lock = begun(path)
    connection = Connection(path)
    with connection.snapshot():
        assert written == ["write", "sync"]
        assert path.with_name("s.db-wal").read_bytes() == content
    assert not lock.is_marked
    use(connection)
    assert written == ["write", "sync"], "once is enough"
    connection.close()
    other.close()
    lock.close()


def test_while_the_disk_refuses_it_nothing_is_read_written_or_moved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log stays as it is, for whoever comes when the disk is well; then all of it is there."""
    connection = Connection(path)
    insert(connection)
    before = path.read_bytes()

    def refuse(file: int) -> None:
        raise OSError(5, os.strerror(5))

    lock = begun(path)
    with monkeypatch.context() as patched:
        patched.setattr(wal, "_sync", refuse)
        for use in (insert, look):
            with pytest.raises(StoreError, match=r"failed again.*check the disk"):
                use(connection)
        connection.close()
        assert lock.is_marked
    assert path.read_bytes() == before
    assert path.with_name("s.db-wal").stat().st_size > 0
    again = Connection(path)
    with again.reading() as database:
        assert database.execute("SELECT count(*) FROM probe").fetchone() == (1,)
    again.close()
    lock.close()


def test_a_log_that_is_not_there_is_not_in_doubt(path: Path) -> None:
    """The last connection moved it and took it away."""
    lock = begun(path)
    log = WriteAheadLog(path, lock)
    log.path.unlink(missing_ok=True)
    log.make_sure()
    assert not log.is_doubtful
    assert not log.path.exists()
    lock.close()


def test_who_leaves_moves_nothing_and_leaves_no_connection(path: Path) -> None:
    """Not even as the last one of all."""
    lock = WriteLock(path)
    log = WriteAheadLog(path, lock)
    database = connect(path, read_only=False)
    database.execute("CREATE TABLE probe (x)")
    before = path.read_bytes()
    log.leave(database)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")
    assert path.read_bytes() == before
    assert log.path.stat().st_size > 0
    lock.close()
