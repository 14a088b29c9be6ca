"""F2 and F26: a process killed at any statement of a transaction leaves all of it or nothing."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.services.postgres import PostgresServer

from everyitem.adapters.stores import open_store

#: Accepts batch "b" of 100,000 items and commits segments of 10 for ever, printing each acknowledged one.
WRITER = """
import sys
from everyitem.adapters.stores import open_store
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Successes
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure
from everyitem.ports.checkpoint import Commit, Counters, SegmentDraft
from everyitem.ports.execution import NewExecution
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem

COUNT = 100_000

def commit(first):
    results = b"[" + b",".join([b"1"] * 9) + b"]"
    failure = Failure(first + 9, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
    done = first // 10 + 1
    return Commit(
        segments=[SegmentDraft([Successes([(first, 9)], 1, [1] * 9, results)], [failure])],
        failed=[FailedItem(first + 9, str(first + 9), 1, "ITEM_ERROR", "E", "m", 0.0)],
        counters=Counters(succeeded=9 * done, failed=done, checkpoints=done),
        events=[OutboxEvent(f"c{done}", "CheckpointCreated", "b", 1.0, b"{}")],
    )

store = open_store(sys.argv[1])
items = InMemoryItems(b"[" + b",".join([b"0"] * COUNT) + b"]", named=False)
created = store.create(
    NewExecution(batch_id="b", execution=1, content="c", items_digest=items.digest, item_count=COUNT,
                 named=False, processor="p", processor_code="x", envelope=b"{}"), items)
ownership = created[1] if created else store.claim(store.find("b").execution_key)
first = store.recorded(ownership.execution_key).last_sequence * 10
"""

#: Commits until it is killed.
ENDLESS = (
    WRITER
    + """
while True:
    print(ownership.commit(commit(first)), flush=True)
    first += 10
"""
)

#: Kills itself at the nth statement of the second commit (or, before anything, of opening the store).
SUICIDE = """
import os, signal, sys

armed, left = False, int(sys.argv[2])

def carried_out():
    global left
    if armed:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1].startswith("sqlite"):
    import sqlite3
    from everyitem.adapters.stores.sqlite import connection

    class Suicidal(sqlite3.Connection):
        def execute(self, sql, *parameters):
            result = super().execute(sql, *parameters)
            carried_out()
            return result

    real = sqlite3.connect
    connection.sqlite3.connect = lambda *a, **o: real(*a, factory=Suicidal, **o)
else:
    from everyitem.adapters.stores.postgres.connection import _Database

    execute = _Database.execute
    def suicidal(self, statement, values=()):
        result = execute(self, statement, values)
        carried_out()
        return result

    _Database.execute = suicidal
"""


def run_suicidal(script: str, url: str, statement: int) -> int:
    """Run a script that kills itself at a statement; its return code."""
    return subprocess.run(
        [sys.executable, "-c", SUICIDE + script, url, str(statement)],
        check=False,
        timeout=60,
        capture_output=True,
    ).returncode


def check_sound(url: str, acknowledged: int) -> int:
    """Everything acknowledged is there, at most one commit more, and all of it adds up; the last sequence."""
    store = open_store(url)
    record = store.find("b")
    assert record is not None
    recorded = store.recorded(record.execution_key)
    assert acknowledged <= recorded.last_sequence <= acknowledged + 1
    assert store.verify(record.execution_key) == []
    store.close()
    return recorded.last_sequence


@pytest.mark.parametrize("kills", [10, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_killed_at_random_moments_nothing_acknowledged_is_lost(store_url: str, kills: int) -> None:
    """Many SIGKILLs of a committing process: each successor goes on, and the chain stays whole."""
    url = store_url
    moments = random.Random(20261123)
    # each successor goes on behind the last one: there must be items enough for all of them
    script = ENDLESS.replace("COUNT = 100_000", f"COUNT = {1_000_000 + 600 * kills}")
    last = 0
    for _ in range(kills):
        writer = subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(moments.randint(1, 60)):
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        assert acknowledged > last
        last = check_sound(url, int(rest[-1]) if rest else acknowledged)


@pytest.mark.parametrize("statement", range(1, 7))
def test_killed_inside_a_commit_all_of_it_is_there_or_nothing(store_url: str, statement: int) -> None:
    """BEGIN, guard, segments, failed items, events, COMMIT: after each of them the process dies."""
    url = store_url
    script = WRITER + "ownership.commit(commit(0))\narmed = True\nownership.commit(commit(10))\n"
    assert run_suicidal(script, url, statement) == -signal.SIGKILL
    committed = statement == 6
    assert check_sound(url, 2 if committed else 1) == (2 if committed else 1)


@pytest.mark.parametrize("statement", [5, 8, 9, 10, 11, 12, 20, 30, 33, 34, 35, 36])
def test_a_killed_migration_is_harmless(tmp_path: Path, statement: int) -> None:
    """Whichever statement of the first start is the last, the next start finds or makes a whole schema."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    assert run_suicidal("armed = True\n" + WRITER, url, statement) == -signal.SIGKILL
    store = open_store(url)
    assert store.find("b") is None
    store.close()
    assert run_suicidal(WRITER + "ownership.commit(commit(0))\n", url, 1) == 0
    check_sound(url, 1)


@pytest.mark.service
@pytest.mark.parametrize("statement", [1, 2, 3, 4, 6, 7, 8, 9, 10])
def test_a_killed_migration_on_postgres_is_harmless(
    postgres: PostgresServer, store_name: str, statement: int
) -> None:
    """The same on a server; there a migration is one transaction from its lock to its entry."""
    url = f"{postgres.url}?schema={store_name}"
    ended = run_suicidal("armed = True\n" + WRITER, url, statement)
    assert ended == -signal.SIGKILL
    store = open_store(url)
    assert store.find("b") is None
    store.close()
    assert run_suicidal(WRITER + "ownership.commit(commit(0))\n", url, 1) == 0
    check_sound(url, 1)
