"""F9, F1: no worker process outlives its coordinator, however that ends."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyitem.adapters.nodes.guard import GUARD
from everyitem.adapters.nodes.guard_process import _is_starting, kill_strays
from everyitem.ports.node import HolderJoined, HolderLost, SliceFinished

COORDINATOR = """
import queue, sys
from everyitem.adapters.nodes.guard import GUARD
from everyitem.adapters.nodes.process_node import ProcessNode
from everyitem.model.items import InMemoryItems
from everyitem.model.resources import NodeKind, NodeSpec
from everyitem.ports.node import HolderJoined, Lease, OutcomesArrived
from everyitem.work.assignment import Assignment, OriginKind, ProcessorOrigin

assignment = Assignment(
    batch_id="b", key_prefix="b", processor="p", origin=ProcessorOrigin(OriginKind.FILE, sys.argv[1])
)
node = ProcessNode(
    NodeSpec(node_id="local", kind=NodeKind.PROCESS, slots=2), slots=2, assignment=assignment,
    items=InMemoryItems(b"[0,1,0,1]", named=False),
)
inbox = queue.SimpleQueue()
node.start(inbox.put)
pids = []
while len(pids) < 2:
    message = inbox.get(timeout=120)
    if isinstance(message, HolderJoined):
        number = int(message.holder[-1])
        node.run_slice(message.holder, Lease(number, range(2 * number - 2, 2 * number), budget=60.0))
    elif isinstance(message, OutcomesArrived):
        pids.append(int(message.block.successes[0].results[1:-1]))
pids += [GUARD._process.pid, *[worker.pid for worker in node._supervision._workers.values()]]
print(*pids, flush=True)
sys.stdin.read()
{ending}
"""

HANG = """
import os, signal, subprocess, time
from everyitem import item_processor
@item_processor("p")
def p(item, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if item == 1:
        time.sleep(600)
    return subprocess.Popen(["sleep", "600"]).pid
"""

#: The same for a child that is a daemon: forked twice, in a session of its own.
DAEMON = """
    read, write = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(write, b"%d" % os.getpid())
        os.execvp("sleep", ["sleep", "600"])
    os.wait()
    return int(os.read(read, 20))
"""


@pytest.fixture
def coordinator(
    tmp_path: Path, root: Path
) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], list[int]]]]:
    """Starts a coordinator with two hanging workers; gives it with the pids of all it has brought to life."""
    with contextlib.ExitStack() as processes:

        def coordinator(ending: str, *, daemons: bool = False) -> tuple[subprocess.Popen[str], list[int]]:
            file = tmp_path / "processors.py"
            last = '    return subprocess.Popen(["sleep", "600"]).pid\n'
            file.write_text(HANG.replace(last, DAEMON) if daemons else HANG)
            process = subprocess.Popen(
                [sys.executable, "-c", COORDINATOR.format(ending=ending), str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(root / "src")},
                text=True,
            )
            processes.enter_context(process)
            assert process.stdout is not None
            pids = [int(word) for word in process.stdout.readline().split()]
            assert len(pids) == 5  # two leaked children, the guard, two workers
            return process, pids

        yield coordinator


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_a_killed_coordinator_leaves_nothing_behind(
    coordinator: Callable, ends_within: Callable[[int, float], bool], signal_: int
) -> None:
    """Guard, workers that ignore SIGTERM, and what they started are all gone within 10 s."""
    process, pids = coordinator("")
    process.send_signal(signal_)
    process.communicate()
    assert all(ends_within(pid, 3 * 10) for pid in pids)


def test_daemons_an_item_has_started_go_with_a_killed_coordinator(
    coordinator: Callable, ends_within: Callable[[int, float], bool]
) -> None:
    """What forked twice and leads a session of its own is found by the mark in its environment."""
    process, pids = coordinator("", daemons=True)
    process.kill()
    process.communicate()
    assert all(ends_within(pid, 3 * 10) for pid in pids)


@pytest.mark.parametrize("how", ["close", "death"])
def test_daemons_of_an_item_go_with_their_worker(
    start: Callable, ends_within: Callable[[int, float], bool], tmp_path: Path, how: str
) -> None:
    """The same when the node closes, and when the worker alone dies; other workers' are spared."""
    code = f"""
    import os, pathlib, subprocess
    @item_processor("p")
    def p(item, context):
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        pathlib.Path({str(tmp_path)!r}, str(item)).write_text(str(child.pid))
        if item == 1:
            os._exit(1)
        return item
    """
    driver = start(code, ["0", "1" if how == "death" else "2"], slots=2, size=1)
    holders = [driver.wait_for(HolderJoined).holder for _ in range(2)]
    for index, holder in enumerate(holders):
        driver.lease(range(index, index + 1), holder=holder)
    while len(driver.of(SliceFinished)) + len(driver.of(HolderLost)) < 2:
        driver.next()
    first, second = (int(file.read_text()) for file in sorted(tmp_path.glob("[012]")))
    if how == "death":
        assert ends_within(second, 3 * 10)
        assert not ends_within(first, 0)
    driver.node.close()
    assert ends_within(first, 3 * 10)
    assert ends_within(second, 3 * 10)


@pytest.mark.parametrize("ending", ["", "raise SystemExit(1)", "node.close()", "import os; os._exit(0)"])
def test_a_coordinator_that_ends_leaves_nothing_behind(
    coordinator: Callable, ends_within: Callable[[int, float], bool], ending: str
) -> None:
    """The same for every way to end by itself, with its nodes closed or forgotten."""
    process, pids = coordinator(ending)
    process.communicate("")
    assert all(ends_within(pid, 3 * 10) for pid in pids)


def test_a_killed_guard_is_replaced(start: Callable, ends_within: Callable[[int, float], bool]) -> None:
    """Should somebody kill the guard, the next worker brings a new one, which watches over all."""
    code = """
    import os
    @item_processor("p")
    def p(item, context):
        if context.attempt == 1:
            os._exit(1)
        return item
    """
    driver = start(code, ["1"], attempts=2)
    driver.wait_for(HolderJoined)
    assert GUARD._process is not None
    old = GUARD._process.pid
    os.kill(old, signal.SIGKILL)
    # dying takes a moment, in which its pipe still takes what it will never read
    os.waitid(os.P_PID, old, os.WEXITED | os.WNOWAIT)
    driver.lease(range(1))
    driver.wait_for(HolderLost)
    driver.wait_for(HolderJoined)
    assert GUARD._process.pid != old
    assert len(GUARD._groups) == 1


def test_a_daemon_is_found_in_the_middle_of_its_start() -> None:
    """Within `exec` a process has no environment; every 15th or so of these is met there."""
    environment = {**os.environ, "EVERYITEM_TEST_MARK": "starting"}
    for _ in range(100):
        with subprocess.Popen(["sleep", "600"], env=environment, start_new_session=True) as daemon:
            kill_strays({b"EVERYITEM_TEST_MARK=starting"})
            try:
                assert daemon.wait(timeout=60) == -signal.SIGKILL
            finally:
                daemon.kill()


def test_zombies_and_processes_without_environment_are_not_waited_for() -> None:
    """They look like one in the middle of its start, but would for ever."""
    with subprocess.Popen(["sleep", "600"], env={}) as bare, subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        assert not _is_starting(zombie.pid)
        while _is_starting(bare.pid):  # for ever, should it be mistaken for one that starts
            os.sched_yield()
        assert Path(f"/proc/{bare.pid}/environ").read_bytes() == b""
        bare.kill()
