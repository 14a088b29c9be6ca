"""F6: memory on process nodes. Who explodes pays, never a neighbour or the coordinator."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from everyitem.adapters.nodes.memory_budget import MB, MemoryBudget
from everyitem.adapters.nodes.memory_gauge import OomKills
from everyitem.adapters.nodes.memory_policy import Measure
from everyitem.model.errors import ErrorCode
from everyitem.ports.node import HolderJoined, HolderLost, NodeFailed, SliceFinished, SliceShortened

#: Both allocate far more than the node may take, one in steps that are touched, one in a single go.
EXPLOSIONS = {
    "steps": """
            kept = []
            while True:
                kept.append(b"x" * (4 << 20))""",
    "one go": """
            kept = b"x" * (1200 << 20)
            time.sleep(600)""",
}

EXPLOSIVE = """
import time
@item_processor("p")
def p(item, context):
    if item == "explode":
        {explosion}
    return item
"""


def explode(start: Callable, kind: str, explosions: int, **how: object) -> None:
    """Items that explode among twice as many that do not."""
    items = ['"explode"' if n % 3 == 1 else str(n) for n in range(3 * explosions)]
    code = EXPLOSIVE.format(explosion=EXPLOSIONS[kind])
    driver = start(code, items, slots=2, size=3, memory_mb=256, **how).run(len(items))
    culprits = [n for n in range(len(items)) if n % 3 == 1]
    attempts = range(1, driver.attempts + 1)
    charged = sorted((failure.index, failure.attempt) for failure in driver.failures)
    assert charged == [(n, attempt) for n in culprits for attempt in attempts]
    for failure in driver.failures:
        assert (failure.code, failure.type) == (ErrorCode.RESOURCE_ERROR, "MemoryExceeded")
        assert failure.alone
        assert "MB at its peak; node local may take 256 MB (memoryMb)" in failure.message
    assert set(driver.results) == set(range(len(items))) - set(culprits)
    assert len(driver.of(HolderLost)) == len(charged)


@pytest.mark.parametrize("kind", EXPLOSIONS)
def test_an_item_that_explodes_is_ended_before_the_kernel_acts(start: Callable, kind: str) -> None:
    """It is charged a RESOURCE_ERROR with its peak, in each attempt; its neighbours succeed."""
    explode(start, kind, 2, attempts=2)


@pytest.mark.long
@pytest.mark.parametrize("kind", EXPLOSIONS)
def test_50_explosions_are_all_attributed(start: Callable, kind: str) -> None:
    """F6: 50 of 50, the coordinator lives and takes no more than before."""
    explode(start, kind, 50)


def test_a_worker_that_leaks_is_replaced_between_items_and_nobody_is_charged(start: Callable) -> None:
    """Each item leaves 24 MB behind: every worker is recycled in time, and every item succeeds."""
    code = """
    import time
    kept = []
    @item_processor("p")
    def p(item, context):
        kept.append(b"x" * (24 << 20))
        time.sleep(0.02)
        return item
    """
    driver = start(code, [str(n) for n in range(60)], slots=2, size=3, memory_mb=400).run(60)
    assert driver.failures == []
    assert len(driver.results) == 60
    lost = driver.of(HolderLost)
    assert len(lost) >= 2
    assert {one.reason for one in lost} == {"the worker process had grown and is replaced by a fresh one"}


def test_a_worker_that_leaks_past_the_limit_at_once_is_replaced_when_its_item_was_finished(
    start: Callable,
) -> None:
    """Nobody is charged and the node goes on: the item is over, and a fresh worker frees what it left."""
    code = """
    kept = []
    @item_processor("p")
    def p(item, context):
        if not kept:
            kept.append(b"x" * (300 << 20))
        return item
    """
    budget = MemoryBudget()
    driver = start(code, [str(n) for n in range(4)], memory_mb=4000, memory=budget)
    driver.lease(range(1))
    driver.wait_for(SliceFinished)
    supervision = driver.node._supervision
    # the limit comes below what is taken only now: at 95 % or more, with nothing running
    supervision.call(lambda: setattr(supervision._memory, "_limit", 320 * MB))
    supervision.call(lambda: setattr(supervision._memory, "_next_look", 0.0))
    supervision.call(supervision._look)
    lost = driver.wait_for(HolderLost)
    assert lost.reason == "the worker process had grown and is replaced by a fresh one"
    assert driver.wait_for(HolderJoined).holder == "local/1.2"
    assert driver.failures == []
    assert not driver.of(NodeFailed)


def test_a_pause_takes_nothing_from_a_worker_under_at_most_once(start: Callable, tmp_path: Path) -> None:
    """It might begin an item at that very moment: what it has not begun is free once it says so itself."""
    code = f"""
    import pathlib, time
    @item_processor("p")
    def p(item, context):
        while not pathlib.Path({str(tmp_path / "go")!r}).exists():
            time.sleep(0.005)
        return item
    """
    driver = start(code, [str(n) for n in range(5)], at_most_once=True)
    lease = driver.lease(range(5))
    driver.wait_until_at(0)
    supervision = driver.node._supervision
    supervision.call(lambda: supervision._take_measures(Measure.PAUSE))
    assert driver.wait_for(SliceShortened).kept == len(lease.indices)
    (tmp_path / "go").touch()
    driver.wait_for(SliceFinished)
    assert set(driver.results) == {0}


def test_items_that_are_large_together_run_fewer_at_a_time(start: Callable) -> None:
    """Four slots and items of which two fit: none fails, since the parallelism shrinks instead."""
    code = """
    import time
    @item_processor("p")
    def p(item, context):
        kept = []
        for _ in range(15):
            kept.append(b"x" * (8 << 20))
            time.sleep(0.02)
        return item
    """
    driver = start(code, [str(n) for n in range(16)], slots=4, size=1, memory_mb=400, attempts=8).run(16)
    assert len(driver.results) == 16
    # the first ones grow before anybody knows how large they become; one of them may have to make room
    assert len(driver.failures) <= 3
    assert all(failure.code is ErrorCode.RESOURCE_ERROR for failure in driver.failures)


def test_a_limit_below_what_idle_workers_take_fails_the_node(start: Callable) -> None:
    """No item is to blame, so none is charged; the reason says what to do."""
    code = """
    import time
    kept = b"x" * (100 << 20)
    @item_processor("p")
    def p(item, context):
        time.sleep(0.2)
        return item
    """
    driver = start(code, ["1", "2"], slots=1, memory_mb=64)
    driver.lease(range(2))
    failed = driver.wait_for(NodeFailed)
    assert failed.code is ErrorCode.RESOURCE_ERROR
    assert "give it more memory or fewer slots" in failed.reason
    assert driver.failures == []


def test_the_execution_s_limit_counts_the_coordinator_too(start: Callable) -> None:
    """Without `memoryMb`, `maxMemoryMb` holds for coordinator and workers together."""
    budget = MemoryBudget(max_memory_mb=1)
    budget.ceiling = budget.coordinator() + 200 * MB
    code = EXPLOSIVE.format(explosion=EXPLOSIONS["steps"])
    driver = start(code, ["1", '"explode"', "3"], memory=budget).run(3)
    (failure,) = driver.failures
    assert (failure.index, failure.code) == (1, ErrorCode.RESOURCE_ERROR)
    assert "(maxMemoryMb)" in failure.message


def test_the_kernel_takes_workers_before_the_coordinator(start: Callable) -> None:
    """A worker's score for running out of memory is above ours."""
    code = """
    @item_processor("p")
    def p(item, context):
        return int(open("/proc/self/oom_score_adj").read())
    """
    driver = start(code, ["1"]).run(1)
    assert int(driver.results[0]) > int(Path("/proc/self/oom_score_adj").read_text())


@pytest.mark.parametrize(
    ("counter", "before", "after"),
    [
        ("memory.events", "low 0\noom 0\noom_kill 3\n", "low 0\noom 1\noom_kill 4\n"),
        ("memory.oom_control", "under_oom 0\noom_kill 0\n", "under_oom 0\noom_kill 1\n"),
    ],
)
def test_a_kill_by_the_kernel_for_memory_is_told_apart(
    start: Callable, tmp_path: Path, counter: str, before: str, after: str
) -> None:
    """Where the control group's counter has risen, the item fails with RESOURCE_ERROR."""
    file = tmp_path / counter
    file.write_text(before)
    code = f"""
    import os, pathlib, signal
    @item_processor("p")
    def p(item, context):
        if item == "kernel":
            pathlib.Path({str(file)!r}).write_text({after!r})
        if item != 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return item
    """
    driver = start(code, ["0", '"kernel"', '"person"'], size=1)
    driver.wait_for(HolderJoined)
    driver.node._supervision._memory._oom_kills = OomKills([tmp_path])
    driver.run(3)
    by_kernel, by_person = sorted(driver.failures, key=lambda failure: failure.index)
    assert by_kernel.code is ErrorCode.RESOURCE_ERROR
    assert "killed by the kernel for lack of memory" in by_kernel.message
    assert by_person.code is ErrorCode.SYSTEM_ERROR


def test_a_kill_at_a_high_peak_is_probably_the_kernel_s(start: Callable) -> None:
    """Without a counter that says so, the size of the worker makes it probable."""
    code = """
    import os, time
    @item_processor("p")
    def p(item, context):
        kept = b"x" * (230 << 20)
        time.sleep(600)
    """
    driver = start(code, ["1"], memory_mb=280)
    driver.lease(range(1))
    driver.wait_until_at(0)
    (worker,) = driver.node._supervision._workers.values()
    while worker.memory.peak < 224 * MB:
        pass
    os.kill(worker.pid, signal.SIGKILL)
    driver.wait_for(HolderLost)
    (failure,) = driver.failures
    assert failure.code is ErrorCode.RESOURCE_ERROR
    assert "probably by the kernel" in failure.message
