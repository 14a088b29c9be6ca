"""F7, F9: hanging items, noise and sizes on process nodes."""

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.rigs.pace import in_time

from everyitem.model.errors import ErrorCode, EveryitemError, StoreDamaged
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    ItemRunsLong,
    Lease,
    NodeFailed,
    NodeMessage,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.work.assignment import OriginKind, ProcessorOrigin

HANGS = {
    "sleep": "time.sleep(600)",
    "ignores SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "holds the GIL": "re.match(r'(a+)+$', 'a' * 64 + 'b')",
    "swallows everything": """
            while True:
                try:
                    time.sleep(600)
                except BaseException:
                    pass""",
}


@pytest.mark.parametrize("kind", HANGS)
def test_a_hanging_item_is_killed_at_its_timeout(start: Callable, kind: str) -> None:
    """F7: gone within the timeout + 2 s, charged as ItemTimeout; the items around it succeed."""
    code = f"""
    import re, signal, time
    @item_processor("p")
    def p(item, context):
        if item == "hang":
            {HANGS[kind]}
        return item
    """
    items = ["0", "1", '"hang"', "3", "4"]
    driver = start(code, items, item_timeout=0.5, size=5)
    driver.lease(range(5))
    begun = time.monotonic()
    lost = driver.wait_for(HolderLost)
    assert in_time(time.monotonic() - begun, 0.5 + 3 * 2)
    (failure,) = lost.block.failures
    assert (failure.index, failure.code, failure.type) == (2, ErrorCode.TIMEOUT_ERROR, "ItemTimeout")
    assert failure.duration_us >= 500_000
    assert lost.replaced
    driver.lease(range(3, 5))
    driver.wait_for(SliceFinished)
    assert set(driver.results) == {0, 1, 3, 4}


def test_a_heartbeat_extends_the_timeout(start: Callable) -> None:
    """The item timeout counts from the last heartbeat; a machine that stops for so long gets another try."""
    code = """
    import threading
    @item_processor("p")
    def p(item, context):
        for _ in range(15):
            threading.Event().wait(0.1)
            context.heartbeat()
        return item
    """
    driver = start(code, ["1"], item_timeout=1.0, attempts=5).run(1)
    assert driver.results == {0: b"1"}


def test_a_long_item_is_reported_and_the_rest_can_be_revoked(start: Callable, tmp_path) -> None:
    """After 20 ms `ItemRunsLong` comes, once an item; a revocation gives back everything behind the item."""
    gate = tmp_path / "gate"
    code = f"""
    import os, threading
    @item_processor("p")
    def p(item, context):
        while item == 3 and not os.path.exists({str(gate)!r}):
            threading.Event().wait(0.01)
        return item
    """
    driver = start(code, [str(n) for n in range(10)], budget=60.0)
    lease = driver.lease(range(10))
    driver.wait_until_at(3)
    driver.node.revoke("local/1", lease.lease_id)
    driver.node.revoke("local/1", lease.lease_id)
    assert driver.wait_for(SliceShortened).kept == 4
    gate.touch()
    driver.wait_for(SliceFinished)
    assert set(driver.results) == {0, 1, 2, 3}
    assert len(driver.of(ItemRunsLong)) <= 4
    assert len(driver.of(SliceShortened)) == 1


def test_revocations_at_any_moment_account_for_every_index(start: Callable, tmp_path: Path) -> None:
    """Leases revoked while they run at full speed: each index has exactly one outcome in the end.

    One item waits until some revocation has met a lease that ran: else none might, on a machine of one core.
    """
    revoked = tmp_path / "revoked"
    code = f"""
    import os, threading
    @item_processor("p")
    def p(item, context):
        while item == 58_000 and not os.path.exists({str(revoked)!r}):
            threading.Event().wait(0.01)
        return item
    """
    count = 60_000
    driver = start(code, [str(n) for n in range(count)], slots=2, size=3000, budget=60.0)

    def revoke_all(message: NodeMessage) -> None:
        for holder, lease in driver.leases.items():
            driver.node.revoke(holder, lease.lease_id)
        if isinstance(message, SliceShortened):
            revoked.touch()

    driver.run(count, watch=revoke_all)
    assert driver.of(SliceShortened)
    assert not driver.failures
    assert driver.results == {n: str(n).encode() for n in range(count)}


def test_outcomes_arrive_while_a_slice_runs_on(start: Callable, tmp_path: Path) -> None:
    """What is finished is handed over even though the slice goes on: its last item waits for that."""
    arrived = tmp_path / "arrived"
    code = f"""
    import os, threading
    @item_processor("p")
    def p(item, context):
        while item == 11 and not os.path.exists({str(arrived)!r}):
            threading.Event().wait(0.01)
        return item
    """
    driver = start(code, [str(n) for n in range(12)], size=12, budget=60.0)

    def note(message: NodeMessage) -> None:
        if isinstance(message, OutcomesArrived):
            arrived.touch()

    driver.run(12, watch=note)
    assert len(driver.of(SliceFinished)) == 1


def test_the_budget_ends_a_slice(start: Callable) -> None:
    """A worker starts no item after its budget; the rest is absent, which gives it back."""
    code = """
    import threading
    @item_processor("p")
    def p(item, context):
        threading.Event().wait(0.06)
        return item
    """
    driver = start(code, [str(n) for n in range(10)], budget=0.05)
    driver.lease(range(10))
    driver.wait_for(SliceFinished)
    assert set(driver.results) == {0}


def test_a_slice_can_end_at_its_first_final_failure(start: Callable) -> None:
    """With `until_failure` nothing is started after a failure that cannot be retried, wherever it lies."""
    code = """
    @item_processor("p")
    def p(item, context):
        return 1 / item
    """
    items = ["1"] * 600
    items[255] = "0"  # the last of a stretch
    driver = start(code, items, budget=60.0)
    holder = driver.wait_for(HolderJoined).holder
    driver.leases[holder], driver._done[holder] = Lease(1, range(600)), set()
    driver.node.run_slice(holder, Lease(1, range(600), attempt=1, budget=30.0, until_failure=True))
    driver.wait_for(SliceFinished)
    assert set(driver.results) == set(range(255))
    assert [one.index for one in driver.failures] == [255]


def test_noise_on_standard_output_harms_nothing(start: Callable, capfd: pytest.CaptureFixture[str]) -> None:
    """F9: megabytes on stdout and stderr go to the log, never to our own output, and stop nothing."""
    code = """
    import os, sys
    @item_processor("p")
    def p(item, context):
        print("x" * 100_000)
        os.write(2, b"\\xff\\xfe" * 50_000)
        assert sys.stdin.read() == ""
        return item
    """
    driver = start(code, [str(n) for n in range(30)]).run(30)
    assert len(driver.results) == 30
    assert capfd.readouterr() == ("", "")


def test_a_result_of_200_megabytes_arrives(start: Callable) -> None:
    """F9: a result far larger than the ring comes over the socket, in its place among small ones."""
    code = """
    @item_processor("p")
    def p(item, context):
        return "x" * item
    """
    driver = start(code, ["3", "200000000", "5"]).run(3)
    assert {index: len(text) - 2 for index, text in driver.results.items()} == {0: 3, 1: 200_000_000, 2: 5}


def test_a_full_ring_is_drained_and_work_goes_on(start: Callable) -> None:
    """Results of many megabytes pass through a ring of one, in order, each once."""
    code = """
    @item_processor("p")
    def p(item, context):
        return [item, "y" * 5000]
    """
    count = 2000
    driver = start(code, [str(n) for n in range(count)], size=count, budget=60.0).run(count)
    assert all(json.loads(driver.results[n])[0] == n for n in range(count))
    assert len(driver.of(SliceFinished)) == 1


def test_a_file_that_does_not_load_fails_the_node(start: Callable) -> None:
    """Workers that cannot start are tried a few times, then the node fails with the error's text."""
    driver = start("import no_such_module_at_all\n", ["1"], slots=2)
    failed = driver.wait_for(NodeFailed)
    assert "no_such_module_at_all" in failed.reason
    assert not driver.of(HolderJoined)
    assert not driver.of(HolderLost)


def test_a_setup_that_raises_fails_the_node(start: Callable) -> None:
    """The reason names the exception and the line of the user's file."""
    code = """
    def connect():
        raise ConnectionError("no database there")
    @item_processor("p", setup=connect)
    def p(item, context):
        return item
    """
    failed = start(code, ["1"]).wait_for(NodeFailed)
    assert "ConnectionError: no database there" in failed.reason
    assert "processors.py, line" in failed.reason


def test_a_worker_that_dies_while_starting_fails_the_node_with_its_last_words(start: Callable) -> None:
    """A module that ends its process is reported with exit code and output."""
    code = """
    import os
    print("leaving", flush=True)
    os._exit(9)
    """
    failed = start(code, ["1"]).wait_for(NodeFailed)
    assert "exit code 9" in failed.reason
    assert "leaving" in failed.reason


def test_a_setup_that_works_at_the_second_try_is_enough(start: Callable, tmp_path) -> None:
    """One failed start is repaired by the next; no item notices."""
    mark = tmp_path / "mark"
    code = f"""
    import pathlib
    def flaky():
        mark = pathlib.Path({str(mark)!r})
        if not mark.exists():
            mark.touch()
            raise ConnectionError("not yet")
    @item_processor("p", setup=flaky)
    def p(item, context):
        return item
    """
    assert start(code, ["1"]).run(1).results == {0: b"1"}


def test_items_that_cannot_be_read_fail_the_node(start: Callable) -> None:
    """A damaged store is reported by the node, after its workers have said what they leave."""
    code = """
    @item_processor("p")
    def p(item, context):
        return item
    """
    driver = start(code, ["1", "2"], slots=2)
    first, second = (driver.wait_for(HolderJoined).holder for _ in range(2))
    driver.node._supervision._items = DamagedItems()
    driver.lease(range(1), holder=first)
    failed = driver.wait_for(NodeFailed)
    assert "chunk 3 is damaged" in failed.reason
    assert {lost.holder for lost in driver.of(HolderLost)} == {first, second}


class DamagedItems:
    """Items whose store cannot be read."""

    def text(self, indices: object) -> bytes:
        raise StoreDamaged("chunk 3 is damaged")


def test_a_fault_of_the_supervision_fails_the_node(start: Callable, caplog: pytest.LogCaptureFixture) -> None:
    """Should the node's thread fail, it says so and leaves no process behind."""
    code = """
    @item_processor("p")
    def p(item, context):
        return item
    """
    driver = start(code, ["1"])
    holder = driver.wait_for(HolderJoined).holder
    driver.node._supervision._items = None
    driver.lease(range(1), holder=holder)
    assert "has no attribute" in driver.wait_for(NodeFailed).reason
    assert "supervision of node local failed" in caplog.text


def test_deaths_are_noticed_without_process_descriptors(
    start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On kernels and in sandboxes without `pidfd_open` the closing of the socket tells of a death."""

    def refuse(pid: int) -> int:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    code = """
    import os
    @item_processor("p")
    def p(item, context):
        if item == 1:
            os._exit(7)
        return item
    """
    driver = start(code, ["0", "1", "2"]).run(3)
    (failure,) = driver.failures
    assert "exit code 7" in failure.message
    assert set(driver.results) == {0, 2}


def test_a_worker_that_is_stopped_between_two_items_is_replaced(
    start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No item runs whose time could be over, and still nothing waits for it for ever; nobody is charged."""
    code = """
    import os
    @item_processor("p")
    def p(item, context):
        return os.getpid()
    """
    driver = start(code, ["1", "2"], size=1).run(1)
    os.kill(int(driver.results[0]), signal.SIGSTOP)
    with monkeypatch.context() as impatient:
        impatient.setattr("everyitem.adapters.nodes.worker_lookout._STALLED", 10)
        driver.lease((1,))
        lost = driver.wait_for(HolderLost)
    assert "did nothing with what it was given" in lost.reason
    assert lost.replaced
    driver.wait_for(HolderJoined)
    driver.lease((1,))
    driver.wait_for(SliceFinished)
    assert driver.failures == []
    assert driver.results[1] != driver.results[0]


def test_a_worker_that_closes_its_socket_is_put_down(start: Callable) -> None:
    """An item that closes descriptors it does not own ends like any other death."""
    code = """
    import os, time
    @item_processor("p")
    def p(item, context):
        if item == 1:
            os.closerange(3, 65536)  # whatever number its socket has
            time.sleep(600)
        return item
    """
    driver = start(code, ["0", "1", "2"]).run(3)
    (failure,) = driver.failures
    assert (failure.index, failure.type) == (1, "WorkerDied")
    assert set(driver.results) == {0, 2}


def test_teardown_runs_at_an_orderly_close(start: Callable, tmp_path) -> None:
    """`setup` runs once per worker, `teardown` once at close."""
    note = tmp_path / "note"
    code = f"""
    def say(word):
        with open({str(note)!r}, "a") as file:
            file.write(word + " ")
    @item_processor("p", setup=lambda: say("up"), teardown=lambda: say("down"))
    def p(item, context):
        return item
    """
    driver = start(code, ["1", "2", "3"], size=1).run(3)
    driver.node.close()
    assert note.read_text() == "up down "


def test_interrupt_ends_everything_and_charges_nobody(start: Callable) -> None:
    """What was finished is recovered, the running item goes back uncharged, nobody is replaced."""
    code = """
    import time
    @item_processor("p")
    def p(item, context):
        if item == 2:
            time.sleep(600)
        return item
    """
    driver = start(code, ["0", "1", "2", "3"], budget=60.0)
    driver.lease(range(4))
    driver.wait_until_at(2)
    driver.node.interrupt()
    lost = driver.wait_for(HolderLost)
    assert not lost.replaced
    assert not driver.failures
    assert set(driver.results) == {0, 1}


def test_close_does_not_wait_for_a_hanging_item(start: Callable) -> None:
    """A worker that does not come to an end is killed after the grace."""
    code = """
    import time
    @item_processor("p")
    def p(item, context):
        time.sleep(600)
    """
    driver = start(code, ["0"])
    driver.lease(range(1))
    driver.wait_for(ItemRunsLong)
    begun = time.monotonic()
    driver.node.close()
    assert in_time(time.monotonic() - begun, 3 * 2.5)


def test_local_functions_are_refused_before_anything_starts(start: Callable) -> None:
    """A function of `__main__` cannot run in another process; the error says what to do instead."""
    with pytest.raises(EveryitemError, match="file of its own"):
        start("", ["1"], origin=ProcessorOrigin(OriginKind.LOCAL, "__main__"))


def test_a_worker_says_that_it_is_one(start: Callable) -> None:
    """EVERYITEM_WORKER is set there, so that a nested run can be refused; nothing else of ours is."""
    code = """
    import os
    @item_processor("p")
    def p(item, context):
        return [name for name in os.environ if name.startswith("EVERYITEM")]
    """
    assert start(code, ["1"]).run(1).results == {0: b'["EVERYITEM_WORKER"]'}


def test_logs_of_an_item_survive_its_death(start: Callable) -> None:
    """What an item logged before it killed its worker is kept for `explain`."""
    code = """
    import os
    @item_processor("p")
    def p(item, context):
        context.logger.warning("item %s is strange", item)
        os._exit(1)
    """
    driver = start(code, ["5"]).run(1)
    assert driver.logs == [(0, 1, "WARNING", "item 5 is strange")]


def test_coroutines_get_a_loop_per_worker(start: Callable) -> None:
    """An `async def` processor runs on process nodes, always on the same loop."""
    code = """
    import asyncio
    @item_processor("p")
    async def p(item, context):
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())
    """
    driver = start(code, ["1", "2", "3"], size=1).run(3)
    assert len(set(driver.results.values())) == 1


def test_views_show_the_item_at_hand(start: Callable) -> None:
    """A view names the worker, the index it is on, since when, and how much it has done."""
    code = """
    import time
    @item_processor("p")
    def p(item, context):
        if item == 3:
            time.sleep(600)
        return item
    """
    driver = start(code, ["0", "1", "2", "3"], budget=60.0)
    driver.lease(range(4))
    driver.wait_until_at(3)
    (view,) = driver.node.views()
    assert (view.worker, view.index, view.done) == ("local/1", 3, 3)
    assert 0 < view.since <= time.monotonic()
    driver.node.interrupt()
    driver.wait_for(HolderLost)
    assert driver.node.views() == []
