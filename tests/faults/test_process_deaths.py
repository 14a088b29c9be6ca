"""F5, F8, F9: whatever an item does to its worker process costs that item one attempt, and no other."""

import json
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.rigs.pace import in_time

from everyitem.model.errors import ErrorCode
from everyitem.ports.node import HolderJoined, HolderLost, NodeMessage, SliceFinished

DEATHS = {
    "segfault": ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
    "exit": ("os._exit(7)", "exit code 7"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
    "abort": ("os.abort()", "signal SIGABRT"),
}

DEADLY = """
import os, signal
@item_processor("p")
def p(item, context):
    if item == "die":
        {death}
    return item * 2
"""


@pytest.mark.parametrize("kind", DEATHS)
def test_a_death_charges_exactly_the_item_that_was_running(start: Callable, kind: str) -> None:
    """The started item gets one charged attempt with the cause; all others succeed, none runs twice."""
    death, cause = DEATHS[kind]
    items = [str(number) for number in range(40)]
    items[13] = '"die"'
    driver = start(DEADLY.format(death=death), items, size=20).run(40)
    (failure,) = driver.failures
    assert (failure.index, failure.attempt, failure.code) == (13, 1, ErrorCode.SYSTEM_ERROR)
    assert (failure.type, failure.alone) == ("WorkerDied", True)
    assert cause in failure.message
    assert driver.results == {n: str(2 * n).encode() for n in range(40) if n != 13}
    (lost,) = driver.of(HolderLost)
    assert (lost.holder, lost.replaced) == ("local/1", True)
    assert [joined.holder for joined in driver.of(HolderJoined)] == ["local/1", "local/1.2"]


FORKING = """
import os
@item_processor("p")
def p(item, context):
    return os.fork() if item == "fork" else item
"""


def test_the_child_of_an_item_that_forks_does_not_go_on_with_our_work(start: Callable) -> None:
    """Both return from the item processor, but only the parent has an outcome to tell of."""
    items = [str(number) for number in range(12)]
    items[4] = '"fork"'
    driver = start(FORKING, items, size=12).run(12)
    assert driver.results.keys() == set(range(12))
    assert int(driver.results[4]) > 0, "the outcome is the child's"
    assert driver.failures == []


def test_outcomes_finished_before_a_death_are_recovered(start: Callable) -> None:
    """The 13 items finished before the fatal one come with the loss, from the ring."""
    items = [*map(str, range(13)), '"die"', "14"]
    driver = start(DEADLY.format(death="os._exit(1)"), items, size=15)
    driver.lease(range(15))
    lost = driver.wait_for(HolderLost)
    (run,) = lost.block.successes
    assert run.ranges == [(0, 13)]
    assert [one.index for one in lost.block.failures] == [13]


def test_a_poison_item_is_charged_every_attempt(start: Callable) -> None:
    """F8: an item that kills every worker it meets is charged 1 + retries times, then left alone."""
    items = [*map(str, range(9)), '"die"']
    driver = start(DEADLY.format(death="os._exit(1)"), items, attempts=4, slots=2, size=5).run(10)
    assert [(one.index, one.attempt) for one in driver.failures] == [(9, n) for n in (1, 2, 3, 4)]
    assert len(driver.results) == 9
    assert len(driver.of(HolderLost)) == 4


def test_kills_at_random_moments_lose_nothing_that_was_finished(start: Callable, tmp_path) -> None:
    """20 kills at work: only the item that was running is called again, each is recorded once.

    How many meet a batch depends on how quickly workers start: batch after batch, until there were enough.
    """
    rng = random.Random(5)
    kills = batches = 0
    while kills < 20:
        kills += kill_at_work(start, tmp_path / f"calls{batches}", rng, most=20 - kills)
        batches += 1


def kill_at_work(start: Callable, calls: Path, rng: random.Random, *, most: int) -> int:
    """A batch some of whose workers are killed soon after a slice: checks it; how many that were."""
    code = f"""
    import os
    calls = os.open({str(calls)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    @item_processor("p")
    def p(item, context):
        os.write(calls, b".")
        return [item, os.getpid()]
    """
    count = 60_000
    driver = start(code, [str(n) for n in range(count)], slots=2, size=1500, attempts=100)
    kills: dict[str, int] = {}

    def kill_soon(message: SliceFinished) -> None:
        pid = json.loads(message.block.successes[0].results)[0][1]
        kills[message.holder] = pid
        # the random moment is what is tested here, not something waited for
        threading.Timer(rng.uniform(0, 0.02), os.kill, (pid, signal.SIGKILL)).start()

    def watch(message: NodeMessage) -> None:
        is_ours = isinstance(message, SliceFinished) and message.block.successes
        if is_ours and message.holder not in kills and len(kills) < most:
            kill_soon(message)

    driver.run(count, watch=watch)
    while len(driver.of(HolderLost)) < len(kills):
        driver.next()
    driver.node.close()
    assert len(driver.failures) <= len(kills)
    assert calls.stat().st_size <= count + len(kills)
    assert [json.loads(driver.results[n])[0] for n in range(count)] == list(range(count))
    return len(kills)


def test_all_slots_are_back_at_work_soon_after_their_workers_died(start: Callable) -> None:
    """F5: the throughput is back within 2 s (three times that is asserted), since no slot stays empty."""
    code = """
    import os, signal
    @item_processor("p")
    def p(item, context):
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return item
    """
    driver = start(code, ['"die"'] * 2 + ["1"] * 2, slots=2, size=1)
    for index, holder in enumerate([driver.wait_for(HolderJoined).holder for _ in range(2)]):
        driver.lease(range(index, index + 1), holder=holder)
    while len(lost := driver.of(HolderLost)) < 2:
        driver.next()
    while len(joined := driver.of(HolderJoined)) < 4:
        driver.next()
    assert in_time(joined[-1].at - lost[0].at, 3 * 2)
    for index, successor in enumerate(joined[2:], start=2):
        driver.lease(range(index, index + 1), holder=successor.holder)
    while len(driver.results) < 2:
        driver.next()
    assert set(driver.results) == {2, 3}


def test_descriptors_an_item_leaks_cost_nobody_else_his_outcome(start: Callable) -> None:
    """F9: an item that takes every descriptor fails; its worker still tells of all others."""
    code = """
    import os, resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    kept = []
    @item_processor("p")
    def p(item, context):
        while item == "leak":
            kept.append(os.open("/dev/null", os.O_RDONLY))
        return [item, "y" * 400_000]
    """
    items = ["0", '"leak"', "2", "3", "4"]
    driver = start(code, items, size=5).run(5)
    (failure,) = driver.failures
    assert (failure.index, failure.type) == (1, "OSError")
    assert set(driver.results) == {0, 2, 3, 4}
    assert not driver.of(HolderLost)


def test_the_death_of_an_idle_worker_charges_nobody(start: Callable) -> None:
    """A worker that dies between leases costs no item an attempt and is replaced."""
    code = """
    import os
    @item_processor("p")
    def p(item, context):
        return os.getpid()
    """
    driver = start(code, ["1", "2"], size=1)
    driver.lease(range(1))
    driver.wait_for(SliceFinished)
    os.kill(int(driver.results[0]), signal.SIGKILL)
    lost = driver.wait_for(HolderLost)
    assert len(lost.block) == 0
    assert lost.replaced
    driver.lease(range(1, 2))
    driver.wait_for(SliceFinished)
    assert set(driver.results) == {0, 1}
    assert not driver.failures


def test_a_chunk_that_dies_is_taken_apart(start: Callable) -> None:
    """The items of a fatal chunk run again alone, uncharged; only the culprit is charged then."""
    code = """
    import os
    @chunk_processor("p", size=4)
    def p(items, context):
        if "die" in items:
            os._exit(1)
        return items
    """
    items = ["0", "1", "2", "3", "4", '"die"', "6", "7", "8"]
    driver = start(code, items, size=9).run(9)
    assert driver.of(HolderLost)[0].isolate == (4, 5, 6, 7)
    assert [(one.index, one.type) for one in driver.failures] == [(5, "WorkerDied")]
    assert set(driver.results) == {0, 1, 2, 3, 4, 6, 7, 8}


def test_the_failure_shows_what_the_worker_last_printed(start: Callable) -> None:
    """The end of a dead worker's output, with the place of a crash, is part of the message."""
    code = """
    import ctypes
    @item_processor("p")
    def p(item, context):
        print("about to crash")
        ctypes.string_at(0)
    """
    driver = start(code, ["1"]).run(1)
    message = driver.failures[0].message
    assert "about to crash" in message
    assert "processors.py" in message
    assert "worker.py" not in message


@pytest.mark.parametrize(
    ("action", "type_"),
    [
        ("sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise BaseException('base')", "BaseException"),
        ("raise GeneratorExit", "GeneratorExit"),
    ],
)
def test_exits_by_exception_are_item_failures(start: Callable, action: str, type_: str) -> None:
    """`sys.exit` and any BaseException fail the item; the worker lives on."""
    code = f"""
    import sys
    @item_processor("p")
    def p(item, context):
        if item == 1:
            {action}
        return item
    """
    driver = start(code, ["0", "1", "2"]).run(3)
    assert [(one.index, one.type) for one in driver.failures] == [(1, type_)]
    assert not driver.of(HolderLost)


def test_children_an_item_leaks_end_with_the_worker(
    start: Callable, ends_within: Callable[[int, float], bool]
) -> None:
    """F9: processes an item started and forgot are gone once the node is closed."""
    code = """
    import subprocess
    @item_processor("p")
    def p(item, context):
        return subprocess.Popen(["sleep", "600"]).pid
    """
    driver = start(code, ["1", "2"]).run(2)
    driver.node.close()
    assert all(ends_within(int(pid), 3 * 10) for pid in driver.results.values())


def test_children_do_not_keep_a_dead_worker_alive(
    start: Callable, ends_within: Callable[[int, float], bool], tmp_path
) -> None:
    """A worker that dies while its children hold its pipes is noticed at once, and they go too."""
    note = tmp_path / "pid"
    code = f"""
    import os, subprocess
    @item_processor("p")
    def p(item, context):
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
        open({str(note)!r}, "w").write(str(child.pid))
        os._exit(1)
    """
    driver = start(code, ["1"]).run(1)
    assert driver.failures[0].type == "WorkerDied"
    assert ends_within(int(note.read_text()), 3 * 10)
