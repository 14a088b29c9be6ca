"""F15 and F16: the store goes away while a batch runs, or while it is taken up again, and comes back."""

import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.faults.rigs.proxy import Proxy
from tests.services.postgres import PostgresServer
from tests.services.stores import edit, expire_lease

import everyitem
from everyitem import compose, item_processor
from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.liveness import ProcessIdentity
from everyitem.adapters.stores.relational.ownership import TableOwnership
from everyitem.adapters.stores.transactions import Transactions
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.reading import rebuild
from everyitem.model.errors import StoreError
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Commit
from everyitem.settings import load_settings

#: Seconds after its return within which a store is used again: three times what is promised.
BACK = 3 * 10.0
PATIENCE = 120.0

CALLS: list[int] = []
#: Ends the waits of items, and those of items to come.
GATE = threading.Event()
#: Seconds items take for now, whatever their batch says; none where it is empty.
PACE: list[float] = []


@item_processor("outage")
def witnessed(item: Any, context: Any) -> Any:
    """Notes the call, takes its time, fails for good where the number says so."""
    CALLS.append(context.index)
    GATE.wait(sum(PACE) or context.parameters["seconds"])
    if item % 50 == 7:
        raise everyitem.PermanentItemError("one in fifty")
    return item * 2


@item_processor("outage of large ones")
def large(item: Any, context: Any) -> Any:
    """The same for items that are more than their number."""
    return witnessed(item["number"], context)


@pytest.fixture(autouse=True)
def no_calls() -> Iterator[None]:
    """Every test begins without calls."""
    CALLS.clear()
    PACE.clear()
    GATE.clear()
    yield
    GATE.set()


def document(items: int, *, seconds: float = 0.02, interval: int = 10) -> dict[str, Any]:
    """A batch on two threads that checkpoints often; 1,000 items take ten seconds until `GATE` is set."""
    return {
        "batchId": "b",
        "batchItems": list(range(items)),
        "processingConfiguration": {"processor": "outage", "parameters": {"seconds": seconds}},
        "allocatedResources": {"nodes": [{"nodeId": "n", "kind": "thread", "slots": 2}]},
        "executionPlan": {},
        "checkpointInterval": interval,
    }


class Running:
    """A batch being executed beside the test."""

    def __init__(self, batch: dict[str, Any], url: str, **options: Any) -> None:
        self.switch = everyitem.Switch()
        self.url = url
        self._answers: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(batch, url, options), daemon=True)
        self._thread.start()

    def _run(self, batch: dict[str, Any], url: str, options: dict[str, Any]) -> None:
        try:
            self._answers.append(everyitem.run(batch, store=url, switch=self.switch, **options).to_dict())
        except Exception as error:
            self._answers.append(error)

    def answer(self, within: float = PATIENCE) -> dict[str, Any]:
        self._thread.join(within)
        assert not self._thread.is_alive(), "the run did not end in time"
        (answer,) = self._answers
        if isinstance(answer, Exception):
            raise answer
        return answer


def until(condition: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait for something that announces itself in no other way."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def sequence(url: str) -> int:
    """The number of the last checkpoint."""
    rows = edit(url, "SELECT last_sequence FROM execution_states")
    return int(str(rows[0][0])) if rows else 0


def check_end(answer: dict[str, Any], url: str, items: int) -> None:
    """Every item has exactly one outcome, the right one, and the store is sound."""
    assert answer["status"] == "SUCCESS", answer
    assert answer["result"]["executionResults"]["itemsProcessed"] == items
    store = open_store(url, read_only=True)
    record = store.find("b")
    assert record is not None
    outcomes = list(store.outcomes(record.execution_key))
    assert [one.index for one in outcomes] == list(range(items))
    assert all(one.succeeded is (one.index % 50 != 7) for one in outcomes)
    assert all(one.result == b"%d" % (2 * one.index) for one in outcomes if one.succeeded)
    assert store.verify(record.execution_key) == []
    store.close()


class Outage:
    """Takes a store away and gives it back."""

    def __init__(self, url: str, away: Callable[[], None], back: Callable[[], None]) -> None:
        #: Where the run looks for the store.
        self.url = url
        self.away, self.back = away, back


def unmounted(tmp_path: Path) -> Outage:
    """The folder of an SQLite store is gone, as an unmounted volume is."""
    folder, elsewhere = tmp_path / "volume", tmp_path / "unmounted"
    folder.mkdir()
    url = f"sqlite:///{folder / 'store.sqlite'}"
    return Outage(url, lambda: folder.rename(elsewhere) and None, lambda: elsewhere.rename(folder) and None)


WAYS = [
    "unmounted",
    pytest.param("stopped", marks=pytest.mark.service),
    pytest.param("cut", marks=pytest.mark.service),
    pytest.param("stalled", marks=pytest.mark.service),
]
#: For tests that sit out what a stalled connection takes to be noticed: that way in the long form only.
QUICK_WAYS = [*WAYS[:-1], pytest.param("stalled", marks=[pytest.mark.service, pytest.mark.long])]


@pytest.fixture(params=WAYS)
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outage]:
    """Each way in which a store can go away for a while."""
    if request.param == "unmounted":
        yield unmounted(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    schema = request.getfixturevalue("store_name")
    if request.param == "stopped":
        yield Outage(f"{server.url}?schema={schema}", lambda: server.stop(signal.SIGQUIT), server.start)
        if not server.is_running:
            server.start()
        return
    with Proxy(server.port) as proxy:
        away = proxy.cut if request.param == "cut" else proxy.stall
        url = f"{server.url_at(proxy.port)}?connect_timeout=2&schema={schema}"
        yield Outage(url, away, proxy.mend)
        proxy.mend()


@pytest.mark.parametrize("outage", ["cut"], indirect=True)
@pytest.mark.service
def test_a_large_input_that_is_gone_on_with_needs_no_store_for_its_next_items(outage: Outage) -> None:
    """Above 16 MB items are read from the store: all of them soon, and not when a worker needs them."""
    items = 600
    batch = document(items, interval=1000)
    batch["batchItems"] = [{"number": number, "text": "x" * 40_000} for number in range(items)]
    batch["processingConfiguration"]["processor"] = "outage of large ones"
    first = Running(batch, outage.url)
    until(lambda: len(CALLS) > 20)
    first.switch.stop("a test")
    with pytest.raises(everyitem.ExecutionInterrupted):
        first.answer()
    before = len(CALLS)
    second = Running(batch, outage.url)
    until(lambda: len(CALLS) > before + 20)
    until(lambda: not any(thread.name == "everyitem-copy" for thread in threading.enumerate()))
    outage.away()
    GATE.set()
    # all the rest is called though the store is away
    until(lambda: set(CALLS) == set(range(items)))
    outage.back()
    assert second.answer()["result"]["executionResults"]["itemsProcessed"] == items


@pytest.mark.parametrize(
    ("outages", "seconds"),
    [(2, 0.4), pytest.param(50, 1.0, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
def test_a_run_survives_its_store_going_away(outage: Outage, outages: int, seconds: float) -> None:
    """F15: nothing lost, nothing twice, in use again within ten seconds, one run; no item is called again."""
    items = 500 + 800 * outages
    running = Running(document(items, seconds=0.05), outage.url)
    until(lambda: len(CALLS) > 20)
    for _ in range(outages):
        before = len(CALLS)
        until(lambda before=before: len(CALLS) > before + 20)  # type: ignore[misc]
        outage.away()
        GATE.wait(seconds)
        outage.back()
        recorded = sequence(outage.url)
        until(lambda recorded=recorded: sequence(outage.url) > recorded, BACK)  # type: ignore[misc]
    assert len(CALLS) < items, "the batch was done before its store had gone away often enough"
    GATE.set()
    answer = running.answer(600)
    check_end(answer, outage.url, items)
    assert answer["result"]["executionMetadata"]["runs"] == 1
    assert len(CALLS) == items


def test_a_full_buffer_stops_the_dealing_and_drops_nothing(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can be written and the buffer is full no item starts; afterwards all outcomes are."""
    monkeypatch.setattr("everyitem.engine.recorder.BUFFER_BYTES", 4000)
    running = Running(document(2000, seconds=0.005), outage.url)
    until(lambda: len(CALLS) > 20)
    outage.away()
    called = -1

    def is_quiet() -> bool:
        nonlocal called
        before, called = called, len(CALLS)
        GATE.wait(0.3)
        return len(CALLS) == before

    until(is_quiet)
    assert called < 1500
    outage.back()
    GATE.set()
    check_end(running.answer(), outage.url, 2000)
    assert len(CALLS) == 2000


@pytest.mark.parametrize("outage", QUICK_WAYS, indirect=True)
def test_a_store_that_stays_away_ends_the_run_when_patience_ends(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`storePatienceSeconds` is the operator's; what is recorded stays, and the batch goes on from there."""
    monkeypatch.setenv("EVERYITEM_STORE_PATIENCE_SECONDS", "0.5")
    monkeypatch.setattr("everyitem.adapters.stores.postgres.connection.ANSWER", 0.5)
    running = Running(document(1000), outage.url)
    until(lambda: len(CALLS) > 50)
    outage.away()
    answer = running.answer()
    assert (answer["status"], answer["errorCode"]) == ("ERROR", "SYSTEM_ERROR")
    outage.back()
    monkeypatch.undo()
    until(lambda: answers(outage.url))
    recorded = sequence(outage.url)
    CALLS.clear()
    GATE.set()
    check_end(Running(document(1000), outage.url).answer(), outage.url, 1000)
    assert len(CALLS) == 1000 - 10 * recorded


def answers(url: str) -> bool:
    """Whether the store can be reached, and the owner that could not reach it has lost its lease."""
    try:
        expire_lease(url)
    except (psycopg.Error, sqlite3.Error):
        return False
    return True


@pytest.mark.parametrize("outage", QUICK_WAYS, indirect=True)
@pytest.mark.parametrize("at_once", [False, True])
def test_who_is_stopped_while_the_store_is_away_waits_no_longer_than_a_drain(
    outage: Outage, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who presses Ctrl-C need not wait for a store that may never come back."""
    monkeypatch.setenv("EVERYITEM_DRAIN_SECONDS", "60" if at_once else "0.3")
    monkeypatch.setattr("everyitem.adapters.stores.postgres.connection.ANSWER", 0.5)
    running = Running(document(1000), outage.url)
    until(lambda: len(CALLS) > 50)
    outage.away()
    GATE.wait(0.3)
    (running.switch.stop_now if at_once else running.switch.stop)("a test")
    # what is under way with the store is not broken off: at most a few connections that time out
    answer = running.answer(3 * 15)
    assert (answer["status"], answer["errorCode"]) == ("ERROR", "SYSTEM_ERROR")
    outage.back()


@pytest.mark.service
def test_who_lost_the_execution_during_an_outage_ends_cleanly(
    postgres: PostgresServer, store_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F11: another host took over meanwhile: nothing more is recorded, and the response says why."""
    direct = f"{postgres.url}?schema={store_name}"
    with Proxy(postgres.port) as proxy:
        running = Running(document(1000), f"{postgres.url_at(proxy.port)}?schema={store_name}")
        until(lambda: len(CALLS) > 40)
        until(lambda: sequence(direct) > 3)
        proxy.cut()
        expire_lease(direct)
        elsewhere = ProcessIdentity("elsewhere", "boot", 1, "start")
        with monkeypatch.context() as patch:
            patch.setattr("everyitem.adapters.stores.relational.claims.this_process", lambda: elsewhere)
            heir_store = open_store(direct)
            record = heir_store.find("b")
            assert record is not None
            heir = heir_store.claim(record.execution_key)
        assert heir is not None
        recorded = sequence(direct)
        proxy.mend()
        answer = running.answer()
    assert (answer["status"], answer["errorCode"]) == ("ERROR", "SYSTEM_ERROR")
    assert "owned by another process" in answer["errorMessage"] + str(answer["details"])
    assert sequence(direct) == recorded
    heir.release()
    heir_store.close()
    CALLS.clear()
    GATE.set()
    check_end(Running(document(1000), direct).answer(), direct, 1000)
    assert len(CALLS) == 1000 - 10 * recorded


@pytest.mark.service
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("requests", [range(1, 41, 5), pytest.param(range(1, 51), marks=pytest.mark.long)])
def test_a_recovery_survives_the_store_going_away_at_any_moment(
    postgres: PostgresServer, store_name: str, after: bool, requests: range
) -> None:
    """F16: the server is gone at the nth request of a resume, for a while: the execution is not dropped."""
    direct = f"{postgres.url}?schema={store_name}"
    for request in requests:
        batch = {**document(120, seconds=0.002), "batchId": "b"}
        # slow at first: it is stopped long before its end
        PACE.append(0.05)
        first = Running(batch, direct)
        until(lambda: len(CALLS) > 12)
        first.switch.stop("a test")
        with pytest.raises(everyitem.ExecutionInterrupted):
            first.answer()
        PACE.clear()
        with Proxy(postgres.port) as proxy:
            store = open_store(f"{postgres.url_at(proxy.port)}?schema={store_name}")
            record = store.find("b")
            assert record is not None
            items = store.items(record.execution_key)
            resumed = rebuild(record, items, settings=load_settings(), options=RunOptions()).batch
            proxy.fail_at(request, after=after, lasting=True)
            mending = threading.Thread(target=mend_later, args=(proxy,))
            mending.start()
            conclusion = compose.resume(store, record, resumed)
            proxy.disarm()
            mending.join()
            store.close()
        assert conclusion.response is not None
        check_end(conclusion.response.to_dict(), direct, 120)
        assert conclusion.record.runs == 2
        assert sorted(CALLS) == list(range(120))
        CALLS.clear()
        edit(direct, "UPDATE executions SET batch_id = batch_id || ?", f"-{request}")


def mend_later(proxy: Proxy) -> None:
    """Mend what was cut, some time after it was."""
    until(lambda: not proxy.is_armed)
    GATE.wait(0.2)
    proxy.mend()


@pytest.mark.parametrize("lost", ["the giving back", "the answer to the end"])
def test_an_end_that_is_recorded_is_not_undone_by_who_could_not_go_on(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the store fails after it: it ends once, is announced once, and is answered from the record."""
    monkeypatch.setenv("EVERYITEM_STORE_PATIENCE_SECONDS", "0")
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    failures = [2]

    def failing() -> None:
        if failures[0]:
            failures[0] -= 1
            raise StoreError("the store is out of reach")

    release, run = TableOwnership.release, Transactions.run

    def released(self: TableOwnership, status: ExecutionStatus | None = None) -> None:
        failing()
        release(self, status)

    def written(self: Transactions, write: Any, *, what: object = None) -> Any:
        done = run(self, write, what=what)
        if isinstance(what, Commit) and what.response is not None and failures[0]:
            # as when the connection breaks before the answer: only the store knows where it stands
            self._position, self._uncertain = None, (what, done.writes)
            failing()
        return done

    if lost == "the giving back":
        monkeypatch.setattr(TableOwnership, "release", released)
    else:
        monkeypatch.setattr(Transactions, "run", written)
    first = everyitem.run(document(7), store=url)
    assert failures == [0]
    assert first.status == "ERROR"
    with everyitem.Session.connect(url) as session:
        assert session.status("b").state == "COMPLETED"
        assert [event.type for event in session.events("b")].count("BatchExecuted") == 1
    again = everyitem.run(document(7), store=url)
    assert (again.status, again.items_processed) == ("SUCCESS", 7)
    assert len(CALLS) == 7
    with everyitem.Session.connect(url) as session:
        assert [event.type for event in session.events("b")].count("BatchExecuted") == 1
