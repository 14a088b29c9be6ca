"""A copy of a store made while a batch runs is sound, and going on from it loses and doubles nothing."""

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from tests.acceptance.conftest import Workspace, workspace
from tests.services.postgres import PostgresServer

__all__ = ["workspace"]

PAGE = Path(__file__).parents[2] / "docs/operations.md"
ITEMS = 60


def begin(place: Workspace):
    """A run that has recorded some of its items, and waits with the others."""
    path = place.document(
        list(range(ITEMS)),
        parameters={"gate": str(place.folder / "gate"), "holdAfter": 30},
        configuration={"checkpointInterval": 1},
        allocatedResources={"nodes": [{"kind": "thread", "slots": 2}]},
    )
    running = place.start("run", path, "--no-progress")
    place.status_when(lambda status: status["checkpoints"] >= 20)
    return running


def go_on_from(place: Workspace, store: str) -> None:
    """What the copy knows is kept, what it does not know runs again; then everything is there once."""
    place.store = store
    known = place.json("status", "b")["succeeded"]
    assert 20 <= known < ITEMS
    assert place.json("verify", "b")["sound"]
    calls = len(place.calls())
    done = place.do("resume", "b", "--no-progress")
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)["result"]["executionResults"]
    assert (response["itemsSuccessful"], response["itemsFailed"]) == (ITEMS, 0)
    assert len(place.calls()) - calls == ITEMS - known
    assert [one["index"] for one in place.lines("results", "b")] == list(range(ITEMS))
    assert place.json("verify", "b")["sound"]


def test_a_copy_of_an_sqlite_store_made_while_a_batch_runs(workspace):
    """As the page says: a copy by SQLite itself, not of the files."""
    assert "sqlite3 STORE \"VACUUM INTO 'COPY'\"" in PAGE.read_text(encoding="utf-8")
    running = begin(workspace)
    copy = workspace.folder / "copy.db"
    original = workspace.store.removeprefix("sqlite:///")
    with closing(sqlite3.connect(original)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    workspace.open_gate()
    assert running.end().returncode == 0
    go_on_from(workspace, f"sqlite:///{copy}")


@pytest.mark.service
def test_a_dump_of_a_postgres_store_made_while_a_batch_runs(
    workspace, postgres: PostgresServer, store_name: str
):
    """`pg_dump` reads one moment; restored under another name it is that store."""
    workspace.store = f"{postgres.url}?schema={store_name}"
    running = begin(workspace)
    dumped = subprocess.run(
        [postgres.program("pg_dump"), "--no-owner", f"--schema={store_name}", postgres.url],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert dumped.returncode == 0, dumped.stderr
    workspace.open_gate()
    assert running.end().returncode == 0
    restored = f"{store_name}_restored"
    script = re.sub(rf"\b{store_name}\b", restored, dumped.stdout)
    psql = subprocess.run(
        [postgres.program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", postgres.url],
        input=script, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert psql.returncode == 0, psql.stderr
    go_on_from(workspace, f"{postgres.url}?schema={restored}")
