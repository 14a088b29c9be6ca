"""Workers that are stopped, or hang before their first item: noticed within a stated bound and replaced."""

import os
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.rigs.pace import at_pace, in_time

import everyitem
from everyitem.ports.node import HolderJoined, HolderLost, NodeFailed

#: Seconds between two looks here, a tenth of what it is; so ten looks at a stopped process take one second.
LOOK = 0.1
#: Seconds after which a stopped worker is replaced, those it has to start, and those it takes to.
STOPPED, ALLOWED, STARTS = 10 * LOOK, 3.0, 2.0

FIRST = """
import os, signal, time

def is_first():
    try:
        os.close(os.open({mark!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
"""

#: What happens to the first worker only, and where.
STARTS_THAT_FAIL = {
    "stopped in an import": """
        if is_first():
            os.kill(os.getpid(), signal.SIGSTOP)
        @item_processor("p")
        def p(item, context):
            return item
        """,
    "stopped in setup": """
        @item_processor("p", setup=lambda *_: is_first() and os.kill(os.getpid(), signal.SIGSTOP))
        def p(item, context):
            return item
        """,
    "hanging in an import": """
        if is_first():
            time.sleep(600)
        @item_processor("p")
        def p(item, context):
            return item
        """,
    "hanging in setup": """
        @item_processor("p", setup=lambda *_: is_first() and time.sleep(600))
        def p(item, context):
            return item
        """,
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks are a tenth of a second apart."""
    monkeypatch.setattr("everyitem.adapters.nodes.vigil.LOOK", LOOK)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("start_that_fails", STARTS_THAT_FAIL)
def test_a_worker_that_gets_stuck_before_its_first_item_is_replaced(
    start: Callable, tmp_path: Path, start_that_fails: str
) -> None:
    """The bound is ten looks for one that is stopped, `workerStartSeconds` for one that hangs."""
    code = FIRST.format(mark=str(tmp_path / "mark")) + textwrap.dedent(STARTS_THAT_FAIL[start_that_fails])
    hangs = start_that_fails.startswith("hanging")
    began = time.monotonic()
    # long enough for a start that does not hang
    allowed = at_pace(ALLOWED)
    driver = start(code, ["1", "2", "3"], start_timeout=allowed if hangs else 600.0).run(3)
    (joined,) = driver.of(HolderJoined)
    assert joined.holder != "local/1"
    assert in_time(joined.at - began, 3 * ((allowed if hangs else STOPPED) + STARTS))
    assert driver.failures == []
    assert driver.of(HolderLost) == []


@pytest.mark.usefixtures("short")
def test_where_every_start_hangs_the_node_says_so(start: Callable) -> None:
    """Three times are enough; the reason names what to change."""
    code = """
    import time
    @item_processor("p", setup=lambda *_: time.sleep(600))
    def p(item, context):
        return item
    """
    failed = start(code, ["1"], start_timeout=LOOK).wait_for(NodeFailed)
    assert "workerStartSeconds" in failed.reason


@pytest.mark.usefixtures("short")
def test_a_worker_that_is_stopped_in_an_item_without_a_timeout_is_replaced(start: Callable) -> None:
    """Nothing else would ever end it; the item is charged, like for any other end of its worker."""
    code = """
    import os, signal
    @item_processor("p")
    def p(item, context):
        if item == "stop" and context.attempt == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return item
    """
    driver = start(code, ['"stop"', "1"], attempts=2).run(2)
    (failure,) = driver.failures
    assert "stopped (SIGSTOP)" in failure.message
    assert driver.results.keys() == {0, 1}
    (lost,) = driver.of(HolderLost)
    assert in_time(lost.at - driver.of(HolderJoined)[0].at, 3 * (STOPPED + STARTS))


@pytest.mark.usefixtures("short")
def test_an_idle_worker_that_is_stopped_is_replaced_before_it_gets_an_item(start: Callable) -> None:
    """Nobody waits until something is given to it."""
    code = """
    import os
    @item_processor("p")
    def p(item, context):
        return os.getpid()
    """
    driver = start(code, ["1", "2"], size=1).run(1)
    began = time.monotonic()
    os.kill(int(driver.results[0]), signal.SIGSTOP)
    lost = driver.wait_for(HolderLost)
    assert "stopped (SIGSTOP)" in lost.reason
    assert in_time(lost.at - began, 3 * STOPPED)
    driver.wait_for(HolderJoined)
    assert driver.failures == []


@pytest.mark.long
def test_a_batch_whose_workers_are_stopped_while_they_start_is_done(tmp_path: Path) -> None:
    """With the bounds as they are: some ten seconds, and everything has an outcome."""
    file = tmp_path / "frozen_starts.py"
    code = FIRST.format(mark=str(tmp_path / "mark")) + textwrap.dedent(STARTS_THAT_FAIL["stopped in setup"])
    file.write_text("from everyitem import item_processor\n" + code)
    document = {
        "batchId": "frozen-starts",
        "batchItems": list(range(20)),
        "processingConfiguration": {"processor": "p"},
        "allocatedResources": {"nodes": [{"nodeId": "n", "kind": "process", "slots": 1}]},
        "executionPlan": {},
    }
    began = time.monotonic()
    response = everyitem.run(document, store=f"sqlite:///{tmp_path}/s.sqlite", processors=[str(file)])
    assert response.ok, response.to_json()
    assert in_time(time.monotonic() - began, 3 * (10 + STARTS))
