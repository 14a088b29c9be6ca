"""Schema migrations: numbered SQL files, each applied once, in one transaction, under an advisory lock."""

import time

import psycopg

from everyitem.adapters.stores.migrations import Migration, refuse_foreign
from everyitem.adapters.stores.migrations import known_migrations as known
from everyitem.adapters.stores.postgres.connection import Connection
from everyitem.adapters.stores.relational.database import Database
from everyitem.model.errors import StoreError, UsageError

#: "EvIt": whoever migrates a store of a database holds this advisory lock.
_LOCK = 0x45764974

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     BIGINT PRIMARY KEY,
    name        TEXT NOT NULL,
    checksum    TEXT NOT NULL,
    applied_at  DOUBLE PRECISION NOT NULL
)
"""


def known_migrations() -> tuple[Migration, ...]:
    """The migrations in this package, in order."""
    return known("postgres")


def migrate(connection: Connection, migrations: tuple[Migration, ...]) -> None:
    """Bring the store's schema up to date, creating it where it is missing.

    Raises `StoreTooNew` for a schema of a newer everyitem, `StoreError` for tables that are not ours.
    A schema that is up to date is only read, so a role without the right to create will do.
    """
    with connection.reading() as database:
        applied = _applied(database, connection)
    refuse_foreign(applied, connection.place, migrations)
    if len(applied) < len(migrations):
        for migration in migrations:
            _apply(connection, migration)
        with connection.reading() as database:
            refuse_foreign(_applied(database, connection), connection.place, migrations)


def check_schema(connection: Connection, migrations: tuple[Migration, ...]) -> None:
    """Raise unless the schema is exactly the one this package knows (for readers, who must not migrate)."""
    with connection.reading() as database:
        applied = _applied(database, connection)
    if not applied:
        raise UsageError(f"store {connection.place}: is empty; no batch was ever accepted there")
    if len(applied) < len(migrations):
        raise StoreError(
            f"store {connection.place}: written by an older everyitem; "
            "any command that writes brings it up to date"
        )
    refuse_foreign(applied, connection.place, migrations)


def _applied(database: Database, connection: Connection) -> list[tuple[int, str, str]]:
    """What was applied: (version, name, checksum); nothing where no store is yet."""
    columns = database.execute(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = ? AND table_name = 'schema_migrations'",
        (connection.place.schema,),
    ).fetchall()
    if not columns:
        return []
    if ("checksum",) not in columns:
        raise StoreError(
            f"store {connection.place}: schema {connection.place.schema!r} belongs to another program; "
            "name another one with ?schema=NAME"
        )
    return database.execute("SELECT version, name, checksum FROM schema_migrations").fetchall()


def _apply(connection: Connection, migration: Migration) -> None:
    schema = connection.place.schema
    with connection.writing() as database:
        database.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
        if migration.version in {version for version, _, _ in _applied(database, connection)}:
            return
        database.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        database.execute(_LEDGER)
        _run_script(connection, migration)
        database.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
            (migration.version, migration.name, migration.checksum, time.time()),
        )


def _run_script(connection: Connection, migration: Migration) -> None:
    # a script of several statements, sent without values, runs in the transaction it is sent in
    psycopg.ClientCursor(connection.session()).execute(migration.script.encode())
