"""F26: killed in a migration, a store has the schema before or after it, and the next start ends it."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.sqlite.migrations import known_migrations
from everyitem.failpoints import VARIABLE, Failpoint

#: Brings the store in argv[1] from the schema of this package to one of two more steps.
MIGRATE = """
import sys
from pathlib import Path
from everyitem.adapters.stores.sqlite.migrations import Migration, known_migrations, migrate

known = known_migrations()
last = known[-1].version
migrate(Path(sys.argv[1]), (
    *known,
    Migration(last + 1, "later.sql", '''
        CREATE TABLE kept (execution_key INTEGER PRIMARY KEY, batch TEXT);
        INSERT INTO kept SELECT execution_key, batch_id FROM executions;
        ALTER TABLE executions ADD COLUMN owner TEXT;
        UPDATE executions SET owner = batch_id;
    '''),
    Migration(last + 2, "latest.sql", '''
        CREATE INDEX executions_by_owner ON executions (owner);
        DROP TABLE kept;
    '''),
))
"""

#: How many migrations are looked at: those of this package, which are there already, and two more.
COUNT = len(known_migrations()) + 2
POINTS = (
    [(Failpoint.MIGRATION_BEGUN, number) for number in range(1, COUNT + 1)]
    + [(Failpoint.MIGRATION_STATEMENT_RUN, number) for number in range(1, 7)]
    + [(Failpoint.MIGRATION_COMMITTED, number) for number in range(1, COUNT + 1)]
)


def migrate(path: Path, failpoint: str = "") -> int:
    """Migrate in a process of its own; its return code."""
    return subprocess.run(
        [sys.executable, "-c", MIGRATE, path], check=False, timeout=60, env={VARIABLE: failpoint}
    ).returncode


def schema(path: Path) -> tuple[int, set[str], list[str]]:
    """Version, tables and columns, and how far the ledger of migrations says it is."""
    with closing(sqlite3.connect(path)) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        shape = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        applied = [name for (name,) in database.execute("SELECT name FROM schema_migrations ORDER BY 1")]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return version, shape, applied


@pytest.mark.parametrize("kills", [len(POINTS), pytest.param(100, marks=pytest.mark.long)])
def test_killed_in_a_migration_the_next_start_ends_it(tmp_path: Path, kills: int) -> None:
    """At every step: never half a migration, and the same schema in the end as without a kill."""
    stages = []
    whole = tmp_path / "whole.db"
    open_store(str(whole)).close()
    stages.append(schema(whole))
    path = tmp_path / "s.db"
    before = whole.read_bytes()
    assert migrate(whole) == 0
    end = schema(whole)
    versions = set()
    for kill in range(kills):
        for leftover in tmp_path.glob("s.db*"):
            leftover.unlink()
        path.write_bytes(before)
        point, passing = POINTS[kill % len(POINTS)]
        assert migrate(path, f"{point.label}:{passing}") == -signal.SIGKILL, (point, passing)
        version, shape, applied = schema(path)
        versions.add(version)
        assert len(applied) == version - known_migrations()[-1].version + len(known_migrations())
        assert (version == stages[0][0]) == (shape == stages[0][1])
        assert migrate(path) == 0
        assert schema(path) == end
    assert len(versions) == 3
