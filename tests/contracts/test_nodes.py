"""The node contract: what holds for every kind of node (rules in `everyitem.ports.node`)."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from everyitem.adapters.nodes.watcher import Watcher
from everyitem.model.errors import ErrorCode, StoreDamaged
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import UNREACHABLE
from everyitem.model.resources import NodeKind
from everyitem.ports.node import (
    HolderJoined,
    HolderLost,
    Node,
    NodeFailed,
    OutcomesArrived,
    SliceFinished,
    SliceShortened,
)
from everyitem.work import forks

Drive = Callable[..., Any]
#: Seconds an item may take where some hang: a machine must stand still for so long to make the others late.
LONG_ENOUGH = 1.0
#: Kinds whose items run in processes of their own, one for each holder.
IN_PROCESSES = (NodeKind.PROCESS, NodeKind.DASK)

UNUSABLE = {
    "digits": "$: it cannot be encoded",
    "nan": "$.rate[1]: NaN",
    "infinity": "Infinity",
    "set": "$.tags: set",
    "bytes": "bytes",
    "tuple": "tuple",
    "integer-keys": "key 1 (int)",
    "object": "object",
    "surrogate": "surrogate",
}
RAISED = {
    "value-error": ("ValueError", "a bad value"),
    "exit": ("SystemExit", "sys.exit(3)"),
    "keyboard": ("KeyboardInterrupt", ""),
    "base": ("Rude", "rude"),
    "generator-exit": ("GeneratorExit", ""),
    "cancelled": ("CancelledError", ""),
    "recursion": ("RecursionError", "recursion"),
    "unprintable": ("Unprintable", "cannot be shown"),
    "forgetful": ("ForgetfulLater", "not a number"),
}


@pytest.fixture
def pipes(tmp_path: Path) -> dict[str, str]:
    """Two named pipes through which an item and the test wait for each other, whatever lies between them."""
    found = {}
    for name in ("started", "gate"):
        found[name] = str(tmp_path / name)
        os.mkfifo(found[name])
    return found


def await_start(pipes: dict[str, str]) -> None:
    """Return once the item runs."""
    with Path(pipes["started"]).open() as started:
        started.read()


def let_go(pipes: dict[str, str]) -> None:
    """Let the item go on."""
    with Path(pipes["gate"]).open("w"):
        pass


@pytest.mark.parametrize("processor", ["echo", "echo-async"])
def test_every_item_comes_back_exactly_once(drive: Drive, processor: str) -> None:
    """Plain and async processors see every item with its index; each has one outcome."""
    driver = drive(processor, [f"item {n}" for n in range(3_000)], slots=3)
    driver.run_all()
    assert driver.results == {n: {"item": f"item {n}", "index": n, "attempt": 1} for n in range(3_000)}
    assert driver.failures == []


def test_holders_announce_all_slots_once(drive: Drive, kind: NodeKind) -> None:
    """A shared queue is one holder of all slots; each worker process is a holder of one."""
    driver = drive("echo", [1], slots=2)
    expected = 2 if kind in IN_PROCESSES else 1
    joined = [driver.until(HolderJoined) for _ in range(expected)]
    assert sum(one.slots for one in joined) == 2
    assert all(one.shared is (kind not in IN_PROCESSES) for one in joined)


@pytest.mark.parametrize("suffix", ["", "-async"])
@pytest.mark.parametrize("what", RAISED)
def test_whatever_an_item_raises_is_its_failure_alone(drive: Drive, what: str, suffix: str) -> None:
    """Exceptions of every kind, `sys.exit` included, fail the item; its neighbours and the worker go on."""
    driver = drive(f"misbehave{suffix}", ["fine", what, "fine"])
    driver.run_all()
    assert set(driver.results) == {0, 2}
    [failure] = driver.failures
    kind, message = RAISED[what]
    assert (failure.index, failure.code, failure.type) == (1, ErrorCode.ITEM_ERROR, kind)
    assert message in failure.message
    assert driver.lost == []
    assert all(frame[0].endswith("node_processors.py") or "asyncio" in frame[0] for frame in failure.frames)
    assert failure.frames


def test_permanent_later_and_memory_are_told_apart(drive: Drive) -> None:
    """`PermanentItemError` is marked, `RetryLater` carries its delay, `MemoryError` is a resource error."""
    driver = drive("misbehave", ["permanent", "later", "memory"])
    driver.run_all()
    permanent, later, memory = sorted(driver.failures, key=lambda failure: failure.index)
    assert (permanent.permanent, later.retry_after, memory.code) == (True, 2.5, ErrorCode.RESOURCE_ERROR)


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_one_outage_in_many_words_is_of_one_family(drive: Drive, suffix: str) -> None:
    """Classes stay where the item ran: what comes from there says in a word which of them are alike."""
    words = ["refused", "disconnected", "silent", "wrapped", "value-error"]
    driver = drive(f"misbehave{suffix}", words)
    driver.run_all()
    told = [(one.type, one.family, one.innate) for one in sorted(driver.failures, key=lambda one: one.index)]
    assert told == [
        ("ConnectionRefusedError", UNREACHABLE, False),
        ("RemoteDisconnected", UNREACHABLE, False),
        ("TimeoutError", UNREACHABLE, False),
        ("PriceMissing", UNREACHABLE, False),
        ("ValueError", "", True),
    ]


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_code_with_an_odd_path_can_be_reported(drive: Drive, suffix: str) -> None:
    """A file name that is not UTF-8 is escaped: the failure can be stored and kills no worker."""
    driver = drive(f"misbehave{suffix}", ["fine", "odd-path", "fine"])
    driver.run_all()
    [failure] = driver.failures
    assert failure.type == "ValueError"
    assert failure.frames[-1][0] == r"/nowhere/\udcff.py"
    assert msgspec.msgpack.encode(failure)
    assert driver.lost == []


@pytest.mark.parametrize("what", ["exit", "keyboard"])
def test_a_task_that_exits_fails_the_item_that_awaits_it(drive: Drive, what: str) -> None:
    """`sys.exit` in a task an item started ends neither the loop nor anybody else's item."""
    driver = drive("entangled-async", ["fine", what, "fine", what, "fine"])
    driver.run_all()
    assert set(driver.results) == {0, 2, 4}
    assert {failure.type for failure in driver.failures} == {RAISED[what][0]}
    assert driver.lost == []


def test_an_item_that_stops_its_loop_harms_nobody(drive: Drive) -> None:
    """The loop goes on, for the item itself and for its neighbours."""
    driver = drive("entangled-async", ["fine", "stop", "fine", "stop"], slots=1)
    driver.run_all()
    assert set(driver.results) == set(range(4))
    assert (driver.failures, driver.lost) == ([], [])


@pytest.mark.parametrize("what", ["cancel now", "cancel later"])
def test_an_item_that_cancels_its_own_task_harms_nobody(drive: Drive, what: str) -> None:
    """The cancellation is over with the item: neighbours succeed, idle workers stay."""
    driver = drive("entangled-async", ["fine", what, "fine", "fine", what, "fine"], slots=1)
    for index in range(6):
        driver.lease((index,))
        driver.finish()
    assert len(driver.results) == 6
    assert driver.failures == []


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_results_that_are_not_json_fail_with_path_and_type(drive: Drive, suffix: str) -> None:
    """NaN, sets, bytes, tuples, integer keys and the like fail their item and say where and why."""
    items = [part for what in UNUSABLE for part in (what, "fine")]
    driver = drive(f"misbehave{suffix}", items)
    driver.run_all()
    assert len(driver.results) == len(UNUSABLE)
    found = {items[failure.index]: failure for failure in driver.failures}
    for what, message in UNUSABLE.items():
        assert found[what].type == "UnusableResult"
        assert found[what].code is ErrorCode.ITEM_ERROR
        assert message in found[what].message


def test_a_huge_result_arrives_whole(drive: Drive) -> None:
    """20 MB of result text come back unharmed, and items after it too."""
    driver = drive("misbehave", ["fine", "huge", "fine"])
    driver.run_all()
    assert len(driver.results[1]) == 20 << 20
    assert set(driver.results) == {0, 1, 2}


def test_noise_on_standard_output_disturbs_nothing(drive: Drive) -> None:
    """Megabytes printed and written to descriptors 1 and 2 do not get mixed up with outcomes."""
    driver = drive("misbehave", ["noise", "fine"] * 5)
    driver.run_all()
    assert set(driver.results) == set(range(10))


def test_a_changed_working_directory_is_restored(drive: Drive) -> None:
    """An item's `chdir` is undone before the next lease."""
    home = os.getcwd()
    driver = drive("misbehave", ["chdir", "fine"], slots=1)
    driver.lease((0,))
    driver.finish()
    driver.lease((1,))
    driver.finish()
    assert driver.results[1] == home == os.getcwd()


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_an_item_out_of_time_fails_and_the_rest_goes_on(drive: Drive, suffix: str) -> None:
    """A hanging item is a TIMEOUT_ERROR; everything else, behind it in the lease too, is processed."""
    items = ["fine", "hang", "fine", "fine", "hang", "fine"]
    driver = drive(f"hang{suffix}", items, slots=2, item_timeout=LONG_ENOUGH)
    driver.run_all()
    assert sorted(failure.index for failure in driver.failures) == [1, 4]
    told = {(one.code, one.type, one.family) for one in driver.failures}
    assert told == {(ErrorCode.TIMEOUT_ERROR, "ItemTimeout", UNREACHABLE)}
    assert all(failure.duration_us >= LONG_ENOUGH * 1_000_000 for failure in driver.failures)
    assert set(driver.results) == {0, 2, 3, 5}


def test_a_coroutine_out_of_time_is_cancelled(drive: Drive, kind: NodeKind) -> None:
    """Coroutines that can be cancelled never pile up: far more than 4 per slot may run out of time."""
    if kind in IN_PROCESSES:
        pytest.skip("a process is killed and replaced")
    driver = drive("hang-async", ["hang"] * 10, slots=1, item_timeout=0.03)
    driver.run_all()
    assert len(driver.failures) == 10


def test_a_coroutine_that_blocks_its_loop_is_out_of_time_like_any_other(drive: Drive) -> None:
    """A coroutine that never yields cannot be cancelled; the batch goes on without it all the same."""
    driver = drive("block-async", ["fine", "block", *["fine"] * 20], slots=2, item_timeout=LONG_ENOUGH)
    driver.run_all()
    assert [(failure.index, failure.type) for failure in driver.failures] == [(1, "ItemTimeout")]
    assert set(driver.results) == set(range(22)) - {1}


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_a_heartbeat_prolongs_the_item_timeout(drive: Drive, suffix: str) -> None:
    """An item longer than its timeout succeeds as long as it says that it is alive.

    On a machine that stops for longer than that it cannot say so: then it is tried again.
    """
    parameters = {"seconds": 1.2 * LONG_ENOUGH}
    driver = drive(
        f"alive{suffix}", ["long"], slots=1, item_timeout=LONG_ENOUGH, max_attempts=4, parameters=parameters
    )
    driver.run_all()
    assert driver.results == {0: "long"}
    assert {failure.type for failure in driver.failures} <= {"ItemTimeout"}


@pytest.mark.parametrize("how", ["exit", "segfault"])
def test_a_death_charges_exactly_the_item_at_hand(drive: Drive, kind: NodeKind, how: str) -> None:
    """A process node loses one worker and one item; finished neighbours are recovered, others run on."""
    if kind not in IN_PROCESSES:
        pytest.skip("a death of a thread or coroutine is a death of the coordinator")
    driver = drive("die", ["fine"] * 50 + [how] + ["fine"] * 50, slots=1)
    driver.run_all()
    [failure] = driver.failures
    assert (failure.index, failure.code, failure.type) == (50, ErrorCode.SYSTEM_ERROR, "WorkerDied")
    assert failure.alone
    assert set(driver.results) == set(range(101)) - {50}


@pytest.mark.parametrize("suffix", ["", "-async", "-chunk"])
def test_the_child_of_an_item_that_forks_is_ended_when_it_comes_back(drive: Drive, suffix: str) -> None:
    """Both come back out of the item processor; the child neither has an outcome nor calls further items."""
    driver = drive(f"fork{suffix}", ["return", "raise", "return"], slots=1)
    driver.run_all()
    assert driver.results == dict.fromkeys(range(3), forks.EXIT_CODE)
    assert (driver.failures, driver.lost) == ([], [])


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_a_retry_carries_its_attempt_number(drive: Drive, suffix: str) -> None:
    """Leases of scattered indices at a later attempt run under that attempt number."""
    driver = drive(f"echo{suffix}", list("abcdefgh"), slots=1)
    driver.lease((1, 2, 5), attempt=3)
    driver.finish()
    assert driver.results == {n: {"item": "abcdefgh"[n], "index": n, "attempt": 3} for n in (1, 2, 5)}
    assert set(driver.attempts.values()) == {3}


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_revocation_gives_back_exactly_what_was_not_started(
    drive: Drive, pipes: dict[str, str], suffix: str
) -> None:
    """Behind a slow item everything comes back at once and can run elsewhere; nothing runs twice."""
    driver = drive(f"gated{suffix}", ["wait", *range(1, 500)], slots=1, parameters=pipes)
    lease = driver.lease(range(500))
    await_start(pipes)
    driver.node.revoke(driver.open[lease][0], lease)
    shortened = driver.until(SliceShortened)
    assert shortened.kept == 1
    let_go(pipes)
    driver.until(SliceFinished)
    assert driver.results == {0: "wait"}
    driver.lease(range(1, 500))
    driver.finish()
    assert set(driver.results) == set(range(500))


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_a_node_uses_as_many_slots_as_it_is_told(
    drive: Drive, kind: NodeKind, pipes: dict[str, str], suffix: str
) -> None:
    """It begins with fewer than it has, and grows while it runs: a slow item keeps no other one waiting."""
    driver = drive(f"gated{suffix}", ["wait", 1], slots=2, begins_with=1, parameters=pipes)
    assert driver.until(HolderJoined).slots == 1
    driver.lease((0,))
    await_start(pipes)
    driver.node.resize(2)
    more = driver.until(HolderJoined).holder if kind in IN_PROCESSES else None
    driver.lease((1,), holder=more)
    while 1 not in driver.results:
        driver.step()
    assert 0 not in driver.results
    let_go(pipes)
    driver.finish()
    assert driver.failures == []


def test_a_node_that_shrinks_and_grows_loses_nothing(drive: Drive) -> None:
    """The number of slots may change at any moment, down to none and back."""
    driver = drive("echo", list(range(2_000)), slots=3)
    driver.waiting.extend((range(start, start + 100), 1) for start in range(0, 2_000, 100))
    for slots in (1, 3, 0, 2, 3):
        driver.node.resize(slots)
        if slots and (driver.lease_waiting() or not driver.holders):
            driver.step()
    driver.count = 0
    driver.run_all()
    assert set(driver.results) == set(range(2_000))


def test_revoking_a_lease_that_is_over_is_no_error(drive: Drive) -> None:
    """The answer to a late revocation is silence."""
    driver = drive("echo", ["a", "b"], slots=1)
    lease = driver.lease((0,))
    holder = driver.open[lease][0]
    driver.finish()
    driver.node.revoke(holder, lease)
    driver.lease((1,))
    driver.finish()
    assert not any(isinstance(message, SliceShortened) for message in driver.messages)


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_a_slice_ends_at_the_first_final_failure_where_asked(drive: Drive, suffix: str) -> None:
    """With `until_failure` nothing starts after a failure that cannot be retried."""
    driver = drive(
        f"misbehave{suffix}", ["fine"] * 3 + ["permanent"] + ["fine"] * 400, slots=1, max_attempts=4
    )
    driver.lease(range(404), until_failure=True)
    driver.finish()
    assert set(driver.results) == {0, 1, 2}
    assert [failure.index for failure in driver.failures] == [3]


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_an_unusable_result_ends_the_slice_at_once_where_asked(drive: Drive, suffix: str) -> None:
    """With `until_failure` a result is checked before the next item starts."""
    driver = drive(f"misbehave{suffix}", ["fine"] * 3 + ["set"] + ["fine"] * 400, slots=1)
    driver.lease(range(404), until_failure=True)
    driver.finish()
    assert set(driver.results) == {0, 1, 2}
    assert [failure.index for failure in driver.failures] == [3]


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_a_deciding_failure_holds_the_whole_queue_until_the_engine_has_heard_of_it(
    drive: Drive, kind: NodeKind, suffix: str
) -> None:
    """Leases behind it and those dealt in ignorance come back unstarted; one dealt afterwards runs."""
    if kind in IN_PROCESSES:
        pytest.skip("a worker process holds one lease at a time")
    driver = drive(f"misbehave{suffix}", ["permanent", *["fine"] * 299], slots=1, max_attempts=4)
    driver.lease(range(100), until_failure=True)
    driver.lease(range(100, 200), until_failure=True)
    driver.until(OutcomesArrived)
    assert [failure.index for failure in driver.failures] == [0]
    driver.lease(range(200, 300), until_failure=True)
    driver.finish()
    assert driver.results == {}
    assert sorted(indices[0] for indices, _ in driver.waiting) == [1, 100, 200]
    for first in (200, 1):
        driver.lease(range(first, first + 99), until_failure=True)
        driver.finish()
    assert set(driver.results) == {*range(200, 299), *range(1, 100)}


def test_finished_outcomes_leave_while_a_slow_item_runs(drive: Drive, pipes: dict[str, str]) -> None:
    """What is done arrives though the item behind it still runs; nothing of it comes twice."""
    driver = drive("gated", [*range(5), "wait"], slots=1, parameters=pipes)
    driver.lease(range(6))
    await_start(pipes)
    while len(driver.results) < 5:
        driver.until(OutcomesArrived)
    assert set(driver.results) == set(range(5))
    let_go(pipes)
    driver.finish()
    assert driver.results[5] == "wait"


def test_a_failure_that_can_be_retried_does_not_end_the_slice(drive: Drive) -> None:
    """With `until_failure` and attempts left the slice goes on."""
    driver = drive("misbehave", ["value-error", "fine"], slots=1, max_attempts=2)
    driver.lease(range(2), until_failure=True)
    driver.finish()
    assert set(driver.results) == {1}


def test_a_slice_ends_when_its_budget_is_spent(drive: Drive, pipes: dict[str, str]) -> None:
    """Nothing starts after the time budget; what is left is given back."""
    driver = drive("gated", ["wait", *range(1, 10)], slots=1, parameters=pipes)
    driver.lease(range(10), budget=0.0)
    await_start(pipes)
    let_go(pipes)
    driver.finish()
    assert driver.results == {0: "wait"}


def test_log_records_travel_with_the_outcome(drive: Drive) -> None:
    """What an item logs on its context arrives with index, attempt and level."""
    driver = drive("talk", ["a", "b"], slots=1)
    driver.run_all()
    assert sorted(driver.logs) == [(0, 1, "WARNING", "item a speaks"), (1, 1, "WARNING", "item b speaks")]


def test_decimals_reach_processors_that_ask_for_them(drive: Drive) -> None:
    """With `decimals=True` fractions arrive as `Decimal`, integers as `int`."""
    driver = drive("number", [1.25, 3])
    driver.run_all()
    assert driver.results == {0: "Decimal 1.25", 1: "int 3"}


def test_the_context_is_right_and_read_only(drive: Drive) -> None:
    """Ids survive changes to the item, settings cannot be changed, the deadline is the nearer one."""
    deadline = datetime.now(UTC) + timedelta(seconds=300)
    driver = drive(
        "context",
        [{"itemId": "own"}, {"no": "id"}],
        named=True,
        parameters={"colour": "blue"},
        item_timeout=600.0,
        deadline=deadline.timestamp(),
    )
    driver.run_all()
    first, second = driver.results[0], driver.results[1]
    assert (first["batch"], first["id"], first["key"]) == ("b-1", "own", "b-1/own")
    assert (second["id"], second["index"], second["key"]) == ("1", 1, "b-1/1")
    assert first["colour"] == "blue"
    assert "read-only" in first["refusal"]
    assert abs(datetime.fromisoformat(first["deadline"]) - deadline) < timedelta(seconds=1)
    assert first["cancelled"] is False


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_a_chunk_is_one_call_and_a_spoilt_one_runs_singly(drive: Drive, suffix: str) -> None:
    """A chunk that raises or answers wrongly charges nobody; only what fails singly is charged."""
    items = ["a", "b", "c", "d", "e", "spoil", "f", "g", "h", "short", "i", "j", "k", "bad", "digits", "l"]
    driver = drive(f"chunk{suffix}", items, slots=1)
    driver.run_all()
    failed = [5, 13, 14]
    assert sorted(failure.index for failure in driver.failures) == failed
    assert driver.results == {n: [item, str(n)] for n, item in enumerate(items) if n not in failed}


def test_a_chunk_out_of_time_runs_singly(drive: Drive) -> None:
    """The timeout of a whole chunk charges nobody."""
    driver = drive("chunk", ["a", "hang", "c", "d", "e"], slots=1, item_timeout=LONG_ENOUGH)
    driver.run_all()
    assert driver.failures == []
    assert driver.results == {n: [item, str(n)] for n, item in enumerate(["a", "hang", "c", "d", "e"])}


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_setup_and_teardown_run_once_per_process(
    drive: Drive, kind: NodeKind, suffix: str, notes: Path
) -> None:
    """`setup` before the first item, `teardown` when the node closes; once per process, not per slot."""
    driver = drive(f"hooked{suffix}", ["a", "b"], slots=2)
    processes = 2 if kind in IN_PROCESSES else 1
    while len(driver.holders) < processes:
        driver.step()
    driver.run_all()
    driver.node.close()
    assert sorted(notes.read_text().split()) == ["setup"] * processes + ["teardown"] * processes


def test_async_hooks_run_in_the_loop_of_the_items(drive: Drive, kind: NodeKind, notes: Path) -> None:
    """What `setup` opens serves the items of the same loop, and `teardown` can close it there."""
    driver = drive("pooled-async", ["a", "b"], slots=1)
    driver.run_all()
    driver.node.close()
    # threads have a loop each; their hooks share one of their own
    assert set(driver.results.values()) == {kind is not NodeKind.THREAD}
    assert notes.read_text() == "same loop\n"


def test_a_node_that_was_never_started_can_be_closed(unstarted: Node) -> None:
    """Closing is safe at any time, also when starting another node failed."""
    unstarted.close()


@pytest.mark.parametrize("refused", ["everyitem-n", "everyitem-n/1", "everyitem-n-loop"])
def test_a_thread_that_cannot_be_started_fails_the_node(
    drive: Drive, kind: NodeKind, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A machine without threads left is said, wherever it shows; nothing waits for ever."""
    if (kind, refused) not in {
        *((kind, "everyitem-n") for kind in NodeKind),
        (NodeKind.THREAD, "everyitem-n/1"),
        (NodeKind.ASYNC, "everyitem-n-loop"),
    }:
        pytest.skip("this kind has no such thread")
    start = threading.Thread.start

    def start_unless_refused(thread: threading.Thread) -> None:
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_unless_refused)
    driver = drive("echo-async", [1])
    with pytest.raises(Exception, match="can't start new thread"):
        driver.run_all()


def test_a_broken_watcher_fails_the_node(
    drive: Drive, kind: NodeKind, monkeypatch: pytest.MonkeyPatch, pipes: dict[str, str]
) -> None:
    """The node's own thread never ends silently: the holder is lost, then the node fails."""
    if kind in IN_PROCESSES:
        pytest.skip("worker processes are supervised otherwise")

    def break_down(watcher: Watcher) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(Watcher, "look", break_down)
    driver = drive("gated", ["wait"], slots=1, parameters=pipes)
    driver.lease((0,))
    await_start(pipes)
    with pytest.raises(Exception, match="a fault of ours"):
        driver.until(NodeFailed)
    assert "a fault of ours" in driver.lost[0].reason
    threading.Thread(target=let_go, args=(pipes,), daemon=True).start()


def test_items_that_cannot_be_read_are_the_fault_of_the_store(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged store ends the node as SYSTEM_ERROR; each holder is lost for that reason first."""

    def damaged(items: InMemoryItems, indices: object) -> bytes:
        raise StoreDamaged("input chunk 3 does not match its digest")

    driver = drive("echo", [1, 2, 3], slots=1)
    driver.until(HolderJoined)
    monkeypatch.setattr(InMemoryItems, "text", damaged)
    with pytest.raises(Exception, match="input chunk 3") as broke:
        driver.run_all()
    assert broke.value.code is ErrorCode.SYSTEM_ERROR
    [lost] = driver.lost
    assert "input chunk 3" in lost.reason
    assert not lost.replaced


def test_a_failing_setup_fails_the_node_with_its_reason(drive: Drive) -> None:
    """Nothing runs when `setup` raises; the node says why."""
    driver = drive("unready", ["a"])
    with pytest.raises(Exception, match="no route to the rates service"):
        driver.run_all()
    assert driver.results == {}


@pytest.mark.parametrize("suffix", ["", "-async"])
def test_interrupting_ends_items_in_flight_and_charges_nobody(
    drive: Drive, pipes: dict[str, str], suffix: str
) -> None:
    """`interrupt` loses the holders at once; finished outcomes are kept, the rest is open again."""
    driver = drive(f"gated{suffix}", ["a", "wait", *range(2, 50)], slots=1, parameters=pipes)
    driver.lease(range(50))
    await_start(pipes)
    driver.node.interrupt()
    lost = driver.until(HolderLost)
    assert not lost.replaced
    assert driver.failures == []
    assert driver.results == {0: "a"}
    # where the item could not be killed, its thread ends as soon as it comes to the gate
    threading.Thread(target=let_go, args=(pipes,), daemon=True).start()


def test_views_show_what_each_worker_does(
    drive: Drive, pipes: dict[str, str], wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    """A running item is visible with its index; an idle worker shows none and what it has done."""
    driver = drive("gated", ["a", "wait", "b"], slots=1, parameters=pipes)
    driver.lease(range(3))
    await_start(pipes)
    wait_until(lambda: driver.node.views()[0].index == 1)
    [view] = driver.node.views()
    assert view.worker.startswith("n/")
    let_go(pipes)
    driver.finish()
    # the worker leaves the item before it counts it
    wait_until(lambda: (driver.node.views()[0].index, driver.node.views()[0].done) == (None, 3))


def test_too_many_abandoned_threads_fail_the_node(drive: Drive, kind: NodeKind) -> None:
    """After 4 hanging threads per slot the thread node gives up instead of piling up more."""
    if kind is not NodeKind.THREAD:
        pytest.skip("only threads cannot be ended")
    driver = drive("hang", ["hang"] * 6, slots=1, item_timeout=0.05)
    with pytest.raises(Exception, match="4 items ran out of time"):
        driver.run_all()
    assert len(driver.failures) == 4
