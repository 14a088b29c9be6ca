"""The service: killed, doubled, starved and lied to, it carries every batch to its right end."""

import json
import os
import queue
import random
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.faults.rigs.pace import in_time
from tests.faults.rigs.services import PATIENCE, Rig, when_gone
from tests.services.http_server import serving
from tests.services.postgres import PostgresServer
from tests.services.stores import edit

from everyitem.adapters.stores.opening import open_alerts, open_queue
from everyitem.faces.service import intake, orphans
from everyitem.faces.service.bell import Bell
from everyitem.faces.service.catalogue import Catalogue
from everyitem.faces.service.child import Child
from everyitem.faces.service.children import Children
from everyitem.faces.service.dispatcher import Dispatcher
from everyitem.faces.service.errors import ProcessorsUnusable
from everyitem.model.alerts import Alert, AlertKind
from everyitem.model.errors import DocumentRefused, StoreDamaged

PRIORITIES = ("LOW", "NORMAL", "HIGH", "CRITICAL")


@pytest.fixture
def rig(tmp_path: Path, root: Path) -> Iterator[Rig]:
    """A rig whose processes are gone at the end of the test."""
    made = Rig(tmp_path, root / "src")
    yield made
    made.close()


@pytest.fixture
def descriptors() -> Iterator[int]:
    """More of them are open than `select` can number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1024)]
    yield len(held)
    for one in held:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("batches", [4, pytest.param(20, marks=pytest.mark.long)])
def test_many_batches_all_finish_and_the_urgent_ones_go_first(rig: Rig, batches: int) -> None:
    """Each one's items exactly once; started in the order of priority, then of submission."""
    names = [f"{PRIORITIES[number % 4]}-{number:02}" for number in range(batches)]
    for name in names:
        rig.submit(name, items=12, priority=name.partition("-")[0])
    waiting = [one.batch_id for one in rig.client.queue()]
    rig.start()
    for name in names:
        status = rig.when_in("COMPLETED", name)
        assert (status.succeeded, status.runs) == (12, 1)
        assert sorted(rig.calls(name)) == sorted(rig.results(name)) == sorted(map(str, range(12)))
    started = [line.split("'")[1] for line in rig.said().splitlines() if "runs as process" in line]
    assert waiting == started == sorted(names, key=lambda name: (-PRIORITIES.index(name.split("-")[0]), name))


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
def test_a_service_that_is_killed_again_and_again_loses_nothing(rig: Rig, kills: int) -> None:
    """Up again within 5 s each, no process left behind, every item recorded once."""
    names = [f"b{number}" for number in range(max(2, kills // 4))]
    for name in names:
        rig.submit(name, items=60 if kills < 10 else 400, seconds=0.05)
    chance = random.Random(0)
    slowest = 0.0
    service = rig.start()
    for _ in range(kills):
        time.sleep(chance.uniform(0.3, 2.0))
        children = rig.children(service)
        service.kill()
        killed = time.monotonic()
        service.wait()
        service = rig.start()
        slowest = max(slowest, time.monotonic() - killed)
        when_gone(children, PATIENCE)
    # three times the promised bound
    print(f"{kills} kills, up again after {slowest:.1f} s at most")
    assert in_time(slowest, 15)
    for name in names:
        status = rig.when_in("COMPLETED", name)
        assert status.succeeded == status.items == len(rig.results(name))
        assert set(rig.calls(name)) == set(map(str, range(status.items)))


@pytest.mark.long
def test_a_batch_whose_process_is_killed_is_gone_on_with_and_harms_no_other(rig: Rig) -> None:
    """A new process within seconds, in the same window; the neighbour does not notice."""
    hold = {"parameters": {"gate": str(rig.gate)}}
    rig.submit("b", **hold)
    rig.submit("other", **hold)
    service = rig.start()
    for name in ("b", "other"):
        rig.when_in("RUNNING", name)
    rig.when(lambda status: status.in_flight > 0)
    with closing(open_queue(rig.store)) as queue:
        victim = next(one.owner_pid for one in queue.tickets() if one.batch_id == "b")
    psutil.Process(victim).kill()
    rig.when(lambda status: status.runs == 2)
    rig.gate.touch()
    assert rig.when_in("COMPLETED").succeeded == 10
    assert rig.when_in("COMPLETED", "other").runs == 1
    service.terminate()
    assert service.wait(PATIENCE) == 0


def test_a_drained_service_leaves_its_batches_to_the_next_one(rig: Rig) -> None:
    """SIGTERM: what is in flight is recorded, nothing runs any more, and the next start goes on."""
    rig.submit("b", items=60, seconds=0.05)
    service = rig.start()
    rig.when(lambda status: status.succeeded > 5)
    children = rig.children(service)
    service.send_signal(signal.SIGTERM)
    assert service.wait(PATIENCE) == 0
    when_gone(children, PATIENCE)
    rested = rig.client.status("b")
    assert (rested.state, rested.waits_for) == ("QUEUED", "no service is running on this store")
    assert rested.succeeded == len(rig.calls())
    rig.start()
    assert rig.when_in("COMPLETED").succeeded == 60
    assert len(rig.calls()) == 60


def test_a_second_signal_ends_a_server_at_once(rig: Rig, root: Path) -> None:
    """Whoever sends it waits for no item; no process is left, and the batch goes on later."""
    rig.submit("b", parameters={"gate": str(rig.gate)}, seconds=3600)
    # neither for a drain nor for an item could anybody wait here
    with serving(
        rig.folder,
        root / "src",
        *("--processors", rig.processors),
        store=rig.store,
        EVERYITEM_DRAIN_SECONDS="3600",
    ) as server:
        rig.when(lambda status: status.state == "RUNNING" and bool(rig.calls()))
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.send_signal(signal.SIGTERM)
        while "once more stops at once" not in "".join(server.said):
            time.sleep(0.02)
        server.end(signal.SIGTERM)
    when_gone(children, PATIENCE)
    assert rig.client.status("b").state == "QUEUED"


def test_an_id_that_fits_on_no_command_line_keeps_nobody_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused; where one got in otherwise its batch fails, and the service goes on."""
    with pytest.raises(DocumentRefused, match="takes 1,024"):
        rig.submit("x" * 1025)
    name = "x" * 140_000
    with monkeypatch.context() as lenient:
        lenient.setattr(intake, "_LONGEST_ID", len(name))
        rig.submit(name)
    rig.submit("b")
    rig.start()
    assert rig.when_in("COMPLETED").succeeded == 10
    assert rig.when_in("FAILED", name).succeeded == 0


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a mistake"), pytest.param(StoreDamaged("its row is gone"), marks=pytest.mark.long)],
)
def test_what_is_wrong_with_one_batch_keeps_no_other_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Whatever that is, and however often it is met; it is said once."""
    bury, met = Dispatcher._bury, threading.Semaphore(0)

    def stumble(self: Dispatcher, tickets: Any, child: Child, *, stopping: bool) -> None:
        if child.ticket.batch_id == "bad":
            met.release()
            raise error
        bury(self, tickets, child, stopping=stopping)

    monkeypatch.setattr(Dispatcher, "_bury", stumble)
    rig.submit("bad")
    rig.client.start()
    for _ in range(3):
        assert met.acquire(timeout=PATIENCE)
    rig.submit("b")
    assert rig.when_in("COMPLETED").succeeded == 10
    assert caplog.text.count(f"batch 'bad': {error if isinstance(error, StoreDamaged) else repr(error)}") == 1


def test_a_service_is_ready_again_once_nobody_wants_what_it_cannot_start(rig: Rig) -> None:
    """Else no request would reach it any more, and nothing would ever show that it is well."""
    (rig.folder / "logs").touch()
    service = rig.client
    service.start()
    rig.submit("b")
    while not any("no process can be started" in one for one in service.health().obstacles):
        time.sleep(0.02)
    service.cancel("b", actor="ada")
    while not service.health().ready:
        time.sleep(0.02)


def test_a_look_for_dead_processes_that_fails_is_not_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever went wrong: somebody else's batch may die next."""
    monkeypatch.setattr(orphans, "LOOK", 0.01)
    store = f"sqlite:///{tmp_path / 'store.db'}"
    open_queue(store).close()
    with closing(open_alerts(store)) as alerts:
        times = {"raised_at": 1.0, "seen_at": 1.0}
        gone = Alert(
            alert_id="1",
            batch_id="b",
            execution=1,
            kind=AlertKind.OWNER_GONE,
            level="critical",
            text="",
            **times,
        )
        alerts.put(gone)
    noticed: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()

    def notice(scope: tuple[str, int], _conditions: object) -> None:
        noticed.put(scope)
        raise RuntimeError("a mistake")

    looking = orphans.Orphans(store, notice)
    looking.begin()
    assert [noticed.get(timeout=PATIENCE) for _ in range(2)] == [("b", 1)] * 2
    looking.close()


@pytest.mark.parametrize("text", ["import os; os._exit(0)", "import os; os.abort()", "raise SystemExit"])
def test_item_processors_that_end_their_process_end_no_other(tmp_path: Path, text: str) -> None:
    """Whatever they do while they are loaded, it is said of them."""
    (tmp_path / "processors.py").write_text(text)
    with pytest.raises(ProcessorsUnusable, match=r"exit code|does not load"):
        Catalogue([str(tmp_path / "processors.py")]).load()


def test_a_service_hears_whatever_the_number_of_its_descriptor(descriptors: int) -> None:
    """A server with thousands of connections hands out numbers beyond what `select` takes."""
    bell = Bell()
    assert bell.descriptor > descriptors
    bell.ring()
    Children().wait(PATIENCE, bell)
    bell.close()


@pytest.mark.service
def test_another_service_takes_over_within_the_lease(
    tmp_path: Path, root: Path, postgres: PostgresServer, store_name: str
) -> None:
    """On a machine that cannot see that the process is dead: its leases have to run out."""
    rig = Rig(tmp_path, root / "src", f"{postgres.url}?schema={store_name}")
    lease = {"EVERYITEM_TEST_LEASE": "2"}
    try:
        rig.submit("b", items=20, parameters={"gate": str(rig.gate)})
        first = rig.start(**lease)
        rig.when(lambda status: status.in_flight > 0)
        second = rig.start(**lease)
        # as if it ran elsewhere
        edit(rig.store, "UPDATE services SET host = 'elsewhere' WHERE pid = ?", first.pid)
        first.kill()
        killed = time.monotonic()
        edit(rig.store, "UPDATE execution_states SET owner_host = 'elsewhere'")
        rig.when(lambda status: status.runs >= 2)
        # the lease, and what it takes to start a process on a busy machine, three times
        took = time.monotonic() - killed
        print(f"taken over after {took:.1f} s with a lease of 2 s")
        assert in_time(took, 3 * (2 + 5))
        rig.gate.touch()
        assert rig.when_in("COMPLETED").succeeded == 20
        second.terminate()
        assert second.wait(PATIENCE) == 0
    finally:
        rig.close()


@pytest.mark.service
@pytest.mark.long
def test_two_services_on_one_store_start_each_batch_once(
    tmp_path: Path, root: Path, postgres: PostgresServer, store_name: str
) -> None:
    """Both look at the same queue; a claim decides."""
    rig = Rig(tmp_path, root / "src", f"{postgres.url}?schema={store_name}")
    try:
        rig.start()
        rig.start()
        for number in range(8):
            rig.submit(f"b{number}", items=5)
        for number in range(8):
            assert rig.when_in("COMPLETED", f"b{number}").runs == 1
            assert len(rig.calls(f"b{number}")) == 5
        assert rig.said().count("runs as process") == 8
    finally:
        rig.close()


@pytest.mark.long
def test_a_batch_that_keeps_crashing_is_given_up_and_the_others_are_not(rig: Rig) -> None:
    """Its processor aborts its own process: it is quarantined or given up, and says so."""
    rig.submit("b", items=1, parameters={"die": True})
    rig.submit("other")
    rig.start()
    assert rig.when_in("COMPLETED", "other").succeeded == 10
    ended = rig.when(lambda status: status.state not in ("QUEUED", "RUNNING"))
    assert ended.state in ("COMPLETED_WITH_ERRORS", "FAILED")


@pytest.mark.long
def test_processors_that_do_not_load_any_more_stop_the_service_and_no_batch(rig: Rig) -> None:
    """Batches wait until the file is mended; none of them is failed for it."""
    rig.start()
    rig.submit("a")
    rig.when_in("COMPLETED", "a")
    sound = rig.processors.read_text()
    rig.processors.unlink()
    rig.submit("b")
    deadline = time.monotonic() + PATIENCE
    while "cannot read the item processors" not in rig.said():
        assert time.monotonic() < deadline, rig.said()
        time.sleep(0.05)
    assert (rig.client.status("b").state, rig.client.status("b").runs) == ("QUEUED", 0)
    rig.processors.write_text(sound)
    assert rig.when_in("COMPLETED").runs == 1


def test_what_fits_no_machine_ends_with_a_resource_error(rig: Rig) -> None:
    """And leaves no process; the batch may be resumed where there is more."""
    nodes = [{"nodeId": "n", "kind": "process", "slots": 5000}]
    rig.submit("b", allocatedResources={"nodes": nodes, "minParallelism": 5000})
    edit(rig.store, "UPDATE tickets SET since = since - 3600")
    rig.start()
    assert rig.when_in("FAILED").runs == 1
    with rig.client.session() as session:
        response = session.response("b")
    assert response is not None
    told = json.loads(response.to_json())
    assert told["errorCode"] == "RESOURCE_ERROR"
    assert "5000 items at once" in told["details"]["resourceErrors"][0]
