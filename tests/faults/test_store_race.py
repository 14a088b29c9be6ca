"""F11 and F12: processes that meet on one store; exactly one owns an execution at any time."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.services.batches import created
from tests.services.stores import edit, expire_lease

from everyitem.adapters.stores import open_store
from everyitem.model.items import InMemoryItems
from everyitem.ports.store import Store

#: Obeys one command a line, and answers each with one line: `create NAME`, `claim NAME` or `commit`.
RIVAL = """
import sys
from everyitem.adapters.stores import liveness, open_store
from everyitem.model.errors import OwnershipLost
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Successes
from everyitem.ports.checkpoint import Commit, Counters, SegmentDraft
from everyitem.ports.execution import NewExecution

if sys.argv[2:]:
    # a process of another host: nobody there can tell whether it lives
    liveness._boot = lambda: sys.argv[2]

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

    def __init__(self, url: str, *host: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RIVAL, url, *host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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
def rivals(url: str, count: int, *, elsewhere: int = 0) -> Iterator[list[Rival]]:
    """Several processes on one store, some of them on other hosts, ended afterwards."""
    open_store(url).close()
    with ExitStack() as stack:
        started = [Rival(url) for _ in range(count)]
        started += [Rival(url, f"host {number}") for number in range(elsewhere)]
        for rival in started:
            stack.enter_context(rival.process)
            stack.callback(rival.process.kill)
        yield started


def store_batch(store: Store, name: str) -> int:
    """An accepted batch nobody owns; its execution key."""
    items = InMemoryItems(b"[0]", named=False)
    record, ownership = created(store, items, name)
    ownership.release()
    return record.execution_key


@pytest.mark.parametrize("batches", [40, pytest.param(500, marks=pytest.mark.long)])
def test_of_two_processes_given_the_same_batch_one_creates_it(store_url: str, batches: int) -> None:
    """F12: many batches given to two processes at once: each has exactly one creator."""
    names = [f"b{number}" for number in range(batches)]
    with rivals(store_url, 1, elsewhere=1) as (one, two):
        for rival in (one, two):
            rival.tell(*(f"create {name}" for name in names))
        for _ in names:
            assert sorted([one.hear(), two.hear()]) == ["no", "yes"]


@pytest.mark.parametrize("batches", [40, pytest.param(500, marks=pytest.mark.long)])
def test_of_processes_that_claim_at_once_one_becomes_the_owner(store_url: str, batches: int) -> None:
    """F12: many free executions claimed by three processes at once: one owner each, the token one higher."""
    store = open_store(store_url)
    names = [f"b{number}" for number in range(batches)]
    for name in names:
        store_batch(store, name)
    with rivals(store_url, 2, elsewhere=1) as started:
        for rival in started:
            rival.tell(*(f"claim {name}" for name in names))
        for _ in names:
            assert sorted(rival.hear() for rival in started) == ["no", "no", "yes"]
        assert all(record.owned and record.runs == 2 for record in store.executions())
        assert set(edit(store_url, "SELECT owner_token FROM execution_states")) == {(2,)}
    store.close()


def test_a_dead_owner_is_replaced_at_once(store_url: str) -> None:
    """After SIGKILL of the owner the next claim succeeds, long before the lease would end."""
    with rivals(store_url, 2) as (owner, heir):
        owner.tell("create b", "commit")
        assert [owner.hear(), owner.hear()] == ["yes", "done"]
        heir.tell("claim b")
        assert heir.hear() == "no"
        owner.process.kill()
        owner.process.wait()
        heir.tell("claim b")
        assert heir.hear() == "yes"


def test_an_owner_that_died_on_another_host_is_replaced_after_its_lease(store_url: str) -> None:
    """Nobody can see from here that it died: its lease has to run out, and then it has."""
    with rivals(store_url, 1, elsewhere=1) as (heir, owner):
        owner.tell("create b", "commit")
        assert [owner.hear(), owner.hear()] == ["yes", "done"]
        owner.process.kill()
        owner.process.wait()
        heir.tell("claim b")
        assert heir.hear() == "no"
        expire_lease(store_url)
        heir.tell("claim b", "commit")
        assert [heir.hear(), heir.hear()] == ["yes", "done"]


@pytest.mark.parametrize("sleeps", [3, pytest.param(200, marks=pytest.mark.long)])
def test_a_stopped_owner_is_refused_when_it_wakes_up(store_url: str, sleeps: int) -> None:
    """F11: SIGSTOP beyond the lease: another host takes over, and the woken one records nothing more."""
    names = [f"b{number}" for number in range(sleeps)]
    with rivals(store_url, 1, elsewhere=1) as (sleeper, heir):
        for name in names:
            sleeper.tell(f"create {name}", "commit")
            assert [sleeper.hear(), sleeper.hear()] == ["yes", "done"]
            sleeper.process.send_signal(signal.SIGSTOP)
            expire_lease(store_url)
            heir.tell(f"claim {name}")
            assert heir.hear() == "yes"
            sleeper.tell("commit", "commit")
            sleeper.process.send_signal(signal.SIGCONT)
            assert [sleeper.hear(), sleeper.hear()] == ["lost", "lost"]
    store = open_store(store_url)
    for record in store.executions():
        assert store.recorded(record.execution_key).last_sequence == 1
        assert store.verify(record.execution_key) == []
    store.close()


def test_two_processes_write_their_own_executions_side_by_side(store_url: str) -> None:
    """Three hundred commits each into one store: all of them are there, both chains whole."""
    with rivals(store_url, 2) as started:
        for number, rival in enumerate(started):
            rival.tell(f"create b{number}", *["commit"] * 300)
        for rival in started:
            assert rival.hear() == "yes"
            assert {rival.hear() for _ in range(300)} == {"done"}
    store = open_store(store_url)
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
