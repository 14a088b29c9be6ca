"""F11 and F12: a stopped owner that wakes up, two executors at once, and clocks that step."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.acceptance.conftest import PATIENCE, Workspace
from tests.services.batches import created, zeros

from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.relational import claims
from everyitem.adapters.stores.sqlite.write_lock import WriteLock
from everyitem.model.errors import OwnershipLost
from everyitem.model.outcome import Successes
from everyitem.ports.checkpoint import Commit, Counters, SegmentDraft
from everyitem.ports.store import Ownership, Store

#: Seconds an owner of these tests is believed; three seconds take long enough.
LEASE = "2"


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace in which leases are short."""
    monkeypatch.setenv("EVERYITEM_TEST_LEASE", LEASE)
    made = Workspace(tmp_path, root / "src")
    yield made
    made.close()


def accept(store: Store) -> tuple[int, Ownership]:
    record, ownership = created(store, zeros(1000))
    return record.execution_key, ownership


def item(index: int) -> Commit:
    return Commit(
        segments=[SegmentDraft([Successes([(index, 1)], 1, [1], b"[1]")], [])],
        counters=Counters(succeeded=index + 1, checkpoints=index + 1),
    )


def write_late(owner: Ownership, number: int) -> None:
    """One of the ways to write."""
    match number % 3:
        case 0:
            owner.commit(item(999))
        case 1:
            owner.renew(None)
        case _:
            owner.release()


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


def owner_token(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT owner_token FROM execution_states").fetchone()[0]


def test_200_of_200_stale_writes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F11: owner after owner oversleeps its lease; what each writes when it wakes up is refused."""
    monkeypatch.setattr(claims, "SECOND_LOOK", 0.0)
    path = tmp_path / "s.db"
    store = open_store(f"sqlite:///{path}")
    key, owner = accept(store)
    refused = 0
    for number in range(200):
        assert owner.commit(item(number)) == number + 1
        edit(path, "UPDATE execution_states SET owner_expires_at = 1.0")
        successor = store.claim(key)
        assert successor is not None
        # one more with each take-over, and checked in every transaction
        assert successor.token == owner.token + 1
        with pytest.raises(OwnershipLost, match="owned by another process now"):
            write_late(owner, number)
        refused += 1
        owner = successor
    assert refused == 200
    assert store.recorded(key).last_sequence == 200
    assert store.verify(key) == []
    store.close()


def test_an_owner_that_lives_is_not_replaced_because_a_clock_stepped(tmp_path: Path) -> None:
    """F21: its lease seems to have run out, and then it renews."""
    path = tmp_path / "s.db"
    store = open_store(f"sqlite:///{path}")
    key, owner = accept(store)
    edit(path, "UPDATE execution_states SET owner_expires_at = 1.0")

    def renewed_meanwhile(_seconds: float) -> None:
        owner.renew(None)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(claims.time, "sleep", renewed_meanwhile)
        assert store.claim(key) is None
    assert owner.commit(item(0)) == 1
    store.close()


def test_a_clock_set_back_does_not_keep_a_silent_owner_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease that ends in an hour is none."""
    monkeypatch.setattr(claims, "SECOND_LOOK", 0.0)
    path = tmp_path / "s.db"
    store = open_store(f"sqlite:///{path}")
    key, _ = accept(store)
    edit(path, f"UPDATE execution_states SET owner_host = 'x', owner_expires_at = {time.time() + 3600}")
    assert store.claim(key) is not None
    store.close()


def test_a_copied_store_is_gone_on_with_after_its_lease(tmp_path: Path) -> None:
    """On another machine nobody can tell whether its owner lives; here it does, and keeps the original."""
    path, copy = tmp_path / "s.db", tmp_path / "copy.db"
    store = open_store(f"sqlite:///{path}")
    key, owner = accept(store)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    edit(copy, "UPDATE execution_states SET owner_host = 'x', owner_boot = 'y'")
    there = open_store(f"sqlite:///{copy}")
    assert there.claim(key) is None
    edit(copy, "UPDATE execution_states SET owner_expires_at = 1.0")
    successor = there.claim(key)
    assert successor is not None
    successor.commit(item(1))
    assert owner.commit(item(0)) == 1
    there.close()
    store.close()


def test_a_stopped_executor_is_replaced_and_stops_when_it_wakes_up(workspace: Workspace) -> None:
    """F11 with the real command: another takes over after the lease; the woken one says why it ends."""
    document = workspace.document(
        list(range(8)),
        parameters={"gate": str(workspace.gate), "holdAfter": 5},
        checkpointInterval=1,
        parallelismLevel=1,
    )
    sleeper = workspace.start("run", document, "--no-progress")
    deadline = time.monotonic() + PATIENCE
    while len(workspace.calls()) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    # not within a transaction: who is stopped there keeps the file's locks, and everybody out
    lock = WriteLock(workspace.folder / "store.db")
    with lock.held():
        sleeper.send(signal.SIGSTOP)
        while not _is_stopped(sleeper.process.pid):
            assert time.monotonic() < deadline
    lock.close()
    workspace.open_gate()
    heir = workspace.do("run", document, "--no-progress")
    assert heir.returncode == 0, heir.stderr
    sleeper.send(signal.SIGCONT)
    woken = sleeper.end()
    assert woken.returncode == 1
    answer = json.loads(woken.stdout)
    assert answer["status"] == "ERROR"
    assert "SYSTEM_ERROR" in woken.stdout
    assert "owned by another process now" in woken.stdout
    response = json.loads(heir.stdout)
    assert response["result"]["executionResults"]["itemsSuccessful"] == 8
    assert workspace.do("run", document).stdout == heir.stdout
    assert workspace.do("verify", "b").returncode == 0
    assert not list(workspace.folder.glob("*.started-*"))


def _is_stopped(pid: int) -> bool:
    """Whether every thread of a process has come to a stop; a signal takes a moment to reach them."""
    try:
        tasks = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:  # one has just ended
        return False
    return all(text.rpartition(")")[2].split()[0] == "T" for text in tasks)


@pytest.mark.parametrize(
    "starts", [2, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_of_two_executors_started_at_once_one_executes(workspace: Workspace, starts: int) -> None:
    """F12: the other attaches and prints the same response; where the owner is killed it takes over."""
    store = workspace.folder / "store.db"
    for number in range(starts):
        killed = number % 2 == 1
        # the owner is killed while it waits with some item, sooner or later, and never after the last one
        document = workspace.document(
            list(range(40)),
            batch_id="b",
            parameters={"gate": str(workspace.gate), "holdAfter": number % 30} if killed else {},
            checkpointInterval=5,
        )
        pair = [workspace.start("run", document, "--no-progress") for _ in range(2)]
        if killed:
            while len(workspace.calls()) <= number % 30:
                time.sleep(0.002)
            os.kill(_owner_pid(store), signal.SIGKILL)
            workspace.open_gate()
        done = [running.end() for running in pair]
        answered = [one for one in done if one.returncode == 0]
        assert len(answered) == (1 if killed else 2)
        assert len({one.stdout for one in answered}) == 1
        runs = json.loads(answered[0].stdout)["result"]["executionMetadata"]["runs"]
        # grows by one per take-over
        assert owner_token(store) == runs
        assert runs == 1 + killed
        if not killed:
            assert sorted(workspace.calls()) == sorted(f"b/{index}" for index in range(40))
        for left in workspace.folder.glob("store.db*"):
            left.unlink()
        workspace.ledger.unlink()
        workspace.gate.unlink(missing_ok=True)


def _owner_pid(store: Path) -> int:
    with closing(sqlite3.connect(store)) as database:
        return database.execute("SELECT owner_pid FROM execution_states").fetchone()[0]
