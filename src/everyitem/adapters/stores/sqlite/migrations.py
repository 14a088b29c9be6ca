"""Schema migrations: numbered SQL files, each applied once, in one transaction, under the write lock."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from everyitem.adapters.stores.migrations import Migration, refuse_foreign
from everyitem.adapters.stores.migrations import known_migrations as known
from everyitem.adapters.stores.relational.database import Database
from everyitem.adapters.stores.sqlite.connection import connect
from everyitem.adapters.stores.sqlite.failures import FAULTS, translated, writing_advice
from everyitem.adapters.stores.sqlite.wal import WriteAheadLog
from everyitem.adapters.stores.sqlite.write_lock import WriteLock
from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import StoreError, UsageError

#: "EvIt": marks the file as ours (`PRAGMA application_id`), so that no other database is ever touched.
APPLICATION_ID = 0x45764974

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    checksum    TEXT NOT NULL,
    applied_at  REAL NOT NULL
)
"""


@cache
def known_migrations() -> tuple[Migration, ...]:
    """The migrations in this package, in order."""
    return known("sqlite")


def migrate(path: Path, migrations: tuple[Migration, ...]) -> None:
    """Bring the store's schema up to date, creating it in an empty file.

    Raises `StoreTooNew` for a schema of a newer everyitem, `StoreError` for a file that is not ours or whose
    migrations are not those of this package.
    """
    try:
        lock = WriteLock(path)
        try:
            wal = WriteAheadLog(path, lock)
            with lock.held(), _connected(path, wal) as database:
                wal.make_sure()
                version = _version(database, path)
                if version:
                    _refuse_foreign(database, path, migrations)
                if version < migrations[-1].version:
                    # the journal mode stays in the file; it cannot be changed inside a transaction
                    database.execute("PRAGMA journal_mode=WAL")
                    for migration in migrations:
                        _apply(database, wal, migration)
                    database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            lock.close()
    except FAULTS as error:
        raise translated(error, path) from error
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror}; {writing_advice(path)}") from error


@contextmanager
def _connected(path: Path, wal: WriteAheadLog) -> Iterator[sqlite3.Connection]:
    database = connect(path, read_only=False)
    try:
        yield database
    finally:
        wal.close(database)


def check_schema(database: Database, path: Path, migrations: tuple[Migration, ...]) -> None:
    """Raise unless the schema is exactly the one this package knows (for readers, who must not migrate)."""
    version = _version(database, path)
    if version == 0:
        raise UsageError(f"store {path}: is empty; no batch was ever accepted there")
    if version < migrations[-1].version:
        raise StoreError(
            f"store {path}: written by an older everyitem; any command that writes brings it up to date"
        )
    _refuse_foreign(database, path, migrations)


def _version(database: Database, path: Path) -> int:
    """The schema's version; 0 for an empty file."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    application: int = database.execute("PRAGMA application_id").fetchone()[0]
    tables: int = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise StoreError(f"store {path}: is an SQLite database of another program; name another file")
    return version


def _apply(database: sqlite3.Connection, wal: WriteAheadLog, migration: Migration) -> None:
    database.execute("BEGIN IMMEDIATE")
    passing(Failpoint.MIGRATION_BEGUN)
    try:
        if database.execute("PRAGMA user_version").fetchone()[0] < migration.version:
            database.execute(_LEDGER)
            for statement in _statements(migration.script):
                database.execute(statement)
                passing(Failpoint.MIGRATION_STATEMENT_RUN)
            database.execute(
                "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
                (migration.version, migration.name, migration.checksum, time.time()),
            )
            database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            database.execute(f"PRAGMA user_version={migration.version}")
        wal.commit(database)
        passing(Failpoint.MIGRATION_COMMITTED)
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """The single statements: `executescript` would end the transaction it is called in."""
    statements = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _refuse_foreign(database: Database, path: Path, migrations: tuple[Migration, ...]) -> None:
    applied = database.execute("SELECT version, name, checksum FROM schema_migrations").fetchall()
    refuse_foreign(applied, path, migrations)
