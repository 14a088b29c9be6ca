"""Schema migrations: numbered, checked, each all or nothing."""

import sqlite3
from pathlib import Path

import pytest

from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.migrations import Migration
from everyitem.adapters.stores.sqlite import location
from everyitem.adapters.stores.sqlite.migrations import known_migrations, migrate
from everyitem.model.errors import StoreError, StoreTooNew, UsageError


def version_of(path: Path) -> int:
    """The schema version in the file."""
    database = sqlite3.connect(path)
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    database.close()
    return version


def test_migrations_are_numbered_without_gaps() -> None:
    """The package's SQL files are 1, 2, 3 ... and none is empty."""
    migrations = known_migrations()
    assert [one.version for one in migrations] == list(range(1, len(migrations) + 1))
    assert all(one.script.strip() for one in migrations)


def test_opening_a_current_store_changes_nothing(tmp_path: Path) -> None:
    """A second start finds the schema as it is."""
    path = tmp_path / "s.db"
    open_store(str(path)).close()
    before = path.read_bytes()
    open_store(str(path)).close()
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    """This version touches no store of a newer one, neither writing nor reading."""
    path = tmp_path / "s.db"
    newer = Migration(len(known_migrations()) + 1, "9999_later.sql", "CREATE TABLE later (x);")
    location.prepare(path)
    migrate(path, (*known_migrations(), newer))
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreTooNew, match="newer everyitem"):
            open_store(str(path), read_only=read_only)
    assert path.read_bytes() == before


def test_an_older_schema_is_brought_up_to_date_once(tmp_path: Path) -> None:
    """Only the missing migrations run; a reader asks for a command that writes instead."""
    path = tmp_path / "s.db"
    location.prepare(path)
    first = Migration(1, "0001_a.sql", "CREATE TABLE a (x);")
    second = Migration(2, "0002_b.sql", "CREATE TABLE b (x);\nINSERT INTO a VALUES (1);")
    migrate(path, (first,))
    migrate(path, (first, second))
    migrate(path, (first, second))
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM a").fetchone() == (1,)
    database.close()
    assert version_of(path) == 2


def test_a_reader_does_not_migrate(tmp_path: Path) -> None:
    """An outdated schema is not changed by a read-only store."""
    path = tmp_path / "s.db"
    sqlite3.connect(path).close()
    with pytest.raises(UsageError, match="is empty"):
        open_store(str(path), read_only=True)


def test_a_failing_migration_leaves_the_schema_before_it(tmp_path: Path) -> None:
    """The statements of one migration are one transaction."""
    path = tmp_path / "s.db"
    location.prepare(path)
    first = Migration(1, "0001_a.sql", "CREATE TABLE a (x);")
    broken = Migration(2, "0002_b.sql", "CREATE TABLE b (x);\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(StoreError):
        migrate(path, (first, broken))
    database = sqlite3.connect(path)
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    database.close()
    assert tables == {"a", "schema_migrations"}
    assert version_of(path) == 1


def test_a_changed_migration_is_refused(tmp_path: Path) -> None:
    """A store whose applied migration is not the package's was made by something else."""
    path = tmp_path / "s.db"
    location.prepare(path)
    migrate(path, (Migration(1, "0001_a.sql", "CREATE TABLE a (x);"),))
    with pytest.raises(StoreError, match="not the one of this everyitem"):
        open_store(str(path))
