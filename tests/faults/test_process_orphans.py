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
from everyitem.ports.node import HolderJoined, HolderLost

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
    message = inbox.get(timeout=30)
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
import signal, subprocess, time
from everyitem import item_processor
@item_processor("p")
def p(item, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if item == 1:
        time.sleep(600)
    return subprocess.Popen(["sleep", "600"]).pid
"""


@pytest.fixture
def coordinator(
    tmp_path: Path, root: Path
) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], list[int]]]]:
    """Starts a coordinator with two hanging workers; gives it with the pids of all it has brought to life."""
    with contextlib.ExitStack() as processes:

        def coordinator(ending: str) -> tuple[subprocess.Popen[str], list[int]]:
            file = tmp_path / "processors.py"
            file.write_text(HANG)
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
    assert all(ends_within(pid, 10) for pid in pids)


@pytest.mark.parametrize("ending", ["", "raise SystemExit(1)", "node.close()", "import os; os._exit(0)"])
def test_a_coordinator_that_ends_leaves_nothing_behind(
    coordinator: Callable, ends_within: Callable[[int, float], bool], ending: str
) -> None:
    """The same for every way to end by itself, with its nodes closed or forgotten."""
    process, pids = coordinator(ending)
    process.communicate("")
    assert all(ends_within(pid, 10) for pid in pids)


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
    driver.lease(range(1))
    assert GUARD._process is not None
    old = GUARD._process.pid
    os.kill(old, signal.SIGKILL)
    # dying takes a moment, in which its pipe still takes what it will never read
    os.waitid(os.P_PID, old, os.WEXITED | os.WNOWAIT)
    driver.wait_for(HolderLost)
    driver.wait_for(HolderJoined)
    assert GUARD._process.pid != old
    assert len(GUARD._groups) == 1
