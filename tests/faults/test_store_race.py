"""F11 and F12: processes that meet on one store; exactly one owns an execution at any time."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from everyitem.adapters.stores import open_store
from everyitem.model.items import InMemoryItems
from everyitem.ports.store import NewExecution, Store

#: Obeys one command a line, and answers each with one line: `create NAME`, `claim NAME` or `commit`.
RIVAL = """
import sys
from everyitem.adapters.stores import open_store
from everyitem.model.errors import OwnershipLost
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Successes
from everyitem.ports.store import Commit, Counters, NewExecution, SegmentDraft

store = open_store(sys.argv[1])
ownership = None
done = 0

def create(name):
    global ownership, done
    items = InMemoryItems(b"[" + b",".join([b"0"] * 1000) + b"]", named=False)
    created = store.create(
        NewExecution(batch_id=name, execution=1, content="c", items_digest=items.digest, item_count=1000,
                     named=False, processor="p", processor_code="x", envelope=b"{}"), items)
    ownership, done = (created[1] if created else None), 0
    return "yes" if created else "no"

def claim(name):
    global ownership, done
    ownership = store.claim(store.find(name).execution_key)
    done = 0
    return "yes" if ownership else "no"

def commit():
    global done
    segment = SegmentDraft([Successes([(done, 1)], 1, [1], b"[1]")], [])
    try:
        ownership.commit(Commit(segments=[segment], counters=Counters(succeeded=done + 1)))
    except OwnershipLost:
        return "lost"
    done += 1
    return "done"

print("ready", flush=True)
for line in sys.stdin:
    command, *names = line.split()
    print({"create": create, "claim": claim, "commit": commit}[command](*names), flush=True)
"""


class Rival:
    """Another process on the same store."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RIVAL, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.hear() == "ready"

    def tell(self, *commands: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{command}\n" for command in commands))
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def rivals(url: str, count: int) -> Iterator[list[Rival]]:
    """Several processes on one store, ended afterwards."""
    open_store(url).close()
    with ExitStack() as stack:
        started = [Rival(url) for _ in range(count)]
        for rival in started:
            stack.enter_context(rival.process)
            stack.callback(rival.process.kill)
        yield started


def store_batch(store: Store, name: str) -> int:
    """An accepted batch nobody owns; its execution key."""
    items = InMemoryItems(b"[0]", named=False)
    created = store.create(
        NewExecution(
            batch_id=name,
            execution=1,
            content="c",
            items_digest=items.digest,
            item_count=1,
            named=False,
            processor="p",
            processor_code="x",
            envelope=b"{}",
        ),
        items,
    )
    assert created is not None
    created[1].release()
    return created[0].execution_key


def test_of_two_processes_given_the_same_batch_one_creates_it(tmp_path: Path) -> None:
    """Forty batches given to two processes at once: each has exactly one creator."""
    names = [f"b{number}" for number in range(40)]
    with rivals(f"sqlite:///{tmp_path / 's.db'}", 2) as (one, two):
        for rival in (one, two):
            rival.tell(*(f"create {name}" for name in names))
        for _ in names:
            assert sorted([one.hear(), two.hear()]) == ["no", "yes"]


def test_of_two_processes_that_claim_at_once_one_becomes_the_owner(tmp_path: Path) -> None:
    """Forty free executions claimed by three processes at once: exactly one owner each, token one higher."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    store = open_store(url)
    names = [f"b{number}" for number in range(40)]
    for name in names:
        store_batch(store, name)
    with rivals(url, 3) as started:
        for rival in started:
            rival.tell(*(f"claim {name}" for name in names))
        for _ in names:
            assert sorted(rival.hear() for rival in started) == ["no", "no", "yes"]
        assert all(record.owned and record.runs == 2 for record in store.executions())
    store.close()


def test_a_dead_owner_is_replaced_at_once(tmp_path: Path) -> None:
    """After SIGKILL of the owner the next claim succeeds, long before the lease would end."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    with rivals(url, 2) as (owner, heir):
        owner.tell("create b", "commit")
        assert [owner.hear(), owner.hear()] == ["yes", "done"]
        heir.tell("claim b")
        assert heir.hear() == "no"
        owner.process.kill()
        owner.process.wait()
        heir.tell("claim b")
        assert heir.hear() == "yes"


def test_a_stopped_owner_is_refused_when_it_wakes_up(tmp_path: Path) -> None:
    """SIGSTOP beyond the lease: another process takes over, and the woken one records nothing more."""
    path = tmp_path / "s.db"
    url = f"sqlite:///{path}"
    with rivals(url, 2) as (sleeper, heir):
        sleeper.tell("create b", "commit")
        assert [sleeper.hear(), sleeper.hear()] == ["yes", "done"]
        sleeper.process.send_signal(signal.SIGSTOP)
        with sqlite3.connect(path) as database:
            database.execute("UPDATE execution_states SET owner_expires_at = 1.0")
        database.close()
        heir.tell("claim b")
        assert heir.hear() == "yes"
        sleeper.tell("commit", "commit")
        sleeper.process.send_signal(signal.SIGCONT)
        assert [sleeper.hear(), sleeper.hear()] == ["lost", "lost"]
    store = open_store(url)
    record = store.find("b")
    assert record is not None
    assert store.recorded(record.execution_key).last_sequence == 1
    store.close()


def test_two_processes_write_their_own_executions_side_by_side(tmp_path: Path) -> None:
    """Three hundred commits each into one file: all of them are there, and both chains are whole."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    with rivals(url, 2) as started:
        for number, rival in enumerate(started):
            rival.tell(f"create b{number}", *["commit"] * 300)
        for rival in started:
            assert rival.hear() == "yes"
            assert {rival.hear() for _ in range(300)} == {"done"}
    store = open_store(url)
    for record in store.executions():
        assert store.recorded(record.execution_key).last_sequence == 300
        assert store.verify(record.execution_key) == []
    store.close()


def test_a_second_handle_in_one_process_takes_no_locks_from_the_first(tmp_path: Path) -> None:
    """Opening and closing a store must not let another process think it is alone and delete the WAL."""
    path = tmp_path / "s.db"
    url = f"sqlite:///{path}"
    first = open_store(url)
    store_batch(first, "a")
    open_store(url).close()
    with rivals(url, 1):
        pass
    with rivals(url, 1) as (rival,):
        rival.tell("create b")
        assert rival.hear() == "yes"
        assert [record.batch_id for record in first.executions()] == ["b", "a"]
    first.close()
