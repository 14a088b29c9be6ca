"""`--supervise` with the real command: crashes are gone on from, stops are not."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.acceptance.conftest import PATIENCE, Running, Workspace
from tests.faults.rigs.pace import in_time


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Iterator[Workspace]:
    """A workspace whose processes are gone at the end of the test."""
    made = Workspace(tmp_path, root / "src")
    yield made
    made.close()


def child_of(running: Running) -> int:
    """The process the supervisor watches over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if children := psutil.Process(running.process.pid).children():
            # the other one, if there is one, is in reserve
            return min(children, key=psutil.Process.create_time).pid
        time.sleep(0.01)
    raise AssertionError("the supervisor has no child")


def held_at(workspace: Workspace, calls: int) -> None:
    """Wait until the item processor was called so often."""
    deadline = time.monotonic() + PATIENCE
    while len(workspace.calls()) < calls:
        assert time.monotonic() < deadline, "the items were never called"
        time.sleep(0.01)


def gated(workspace: Workspace, *, hold_after: int = 5, **more):
    """A batch that stops before its end until the gate opens, in each process anew."""
    parameters = {"gate": str(workspace.gate), "holdAfter": hold_after}
    return workspace.document(
        list(range(8)), parameters=parameters, checkpointInterval=1, parallelismLevel=1, **more
    )


def test_a_killed_process_is_replaced_within_five_seconds_and_answers_once(workspace: Workspace) -> None:
    """The same response on the same standard output, two runs, one window of the batch timeout."""
    running = workspace.start("run", gated(workspace), "--no-progress", "--supervise")
    held_at(workspace, 6)
    os.kill(child_of(running), signal.SIGKILL)
    killed = time.monotonic()
    held_at(workspace, 7)
    # three times the promised bound
    assert in_time(time.monotonic() - killed, 15)
    workspace.open_gate()
    done = running.end()
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert response["result"]["executionMetadata"]["runs"] == 2
    assert response["result"]["executionResults"]["itemsSuccessful"] == 8
    assert "ended by SIGKILL" in done.stderr


def test_a_restart_while_the_store_is_away_waits_for_it(workspace: Workspace) -> None:
    """A machine that loses its volume loses processes, too; no second store is made where it was."""
    volume, elsewhere = workspace.folder / "volume", workspace.folder / "elsewhere"
    volume.mkdir()
    store = f"sqlite:///{volume}/store.db"
    running = workspace.start("run", gated(workspace), "--no-progress", "--supervise", "--store", store)
    held_at(workspace, 6)
    victim = child_of(running)
    volume.rename(elsewhere)
    os.kill(victim, signal.SIGKILL)
    assert running.read_error_until("the store is out of reach")
    assert not volume.exists()
    elsewhere.rename(volume)
    workspace.open_gate()
    done = running.end()
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert response["result"]["executionMetadata"]["runs"] == 2
    assert response["result"]["executionResults"]["itemsSuccessful"] == 8


@pytest.mark.parametrize("victim", ["supervisor", "child"])
def test_a_stop_ends_both_in_good_order(workspace: Workspace, victim: str) -> None:
    """SIGTERM is passed on; exit code 143; the execution can be resumed."""
    running = workspace.start("run", gated(workspace), "--no-progress", "--supervise")
    held_at(workspace, 6)
    child = child_of(running)
    os.kill(child if victim == "child" else running.process.pid, signal.SIGTERM)
    assert running.read_error_until("finishing items in flight")
    workspace.open_gate()
    done = running.end()
    assert (done.returncode, done.stdout) == (143, "")
    assert not psutil.pid_exists(child)
    assert workspace.json("status", "b", "--json")["state"] == "INTERRUPTED"


def test_a_killed_supervisor_takes_its_child_along(
    workspace: Workspace, ends_within: Callable[[int, float], bool]
) -> None:
    """No orphan goes on where nobody can see it."""
    running = workspace.start("run", gated(workspace), "--no-progress", "--supervise")
    held_at(workspace, 6)
    child = child_of(running)
    running.process.kill()
    assert ends_within(child, 3 * 10)
    workspace.open_gate()
    assert workspace.do("run", workspace.folder / "b.json").returncode == 0


def test_answers_and_usage_errors_are_ends(workspace: Workspace) -> None:
    """An ERROR response, a wrong option, a missing file, failed items that change the exit code."""
    refused = workspace.document([1], batch_id="refused", executionPlan=3)
    done = workspace.do("run", refused, "--supervise")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "ERROR"
    assert workspace.do("run", refused, "--supervise", "--nope").returncode == 2
    assert workspace.do("run", "nowhere.json", "--supervise").returncode == 2
    failing = workspace.document([{"fail": "x"}], batch_id="failing")
    assert workspace.do("run", failing, "--supervise", "--fail-on-item-failure").returncode == 3


def test_a_document_from_standard_input_is_supervised_too(workspace: Workspace) -> None:
    """It is read once and kept for every process."""
    document = workspace.document([1, 2, 3]).read_text()
    done = workspace.do("run", "-", "--supervise", stdin=document)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["rerun", "redrive"])
def test_a_restart_goes_on_with_the_execution_and_round_that_was_begun(
    workspace: Workspace, command: str
) -> None:
    """It starts neither a third execution nor a third round."""
    gate = {"gate": str(workspace.gate), "holdAfter": 0}
    workspace.open_gate()
    document = workspace.document(
        [{"fail": "x"}, 1], parameters=gate, checkpointInterval=1, parallelismLevel=1
    )
    assert workspace.do("run", document).returncode == 0
    workspace.gate.unlink()
    before = len(workspace.calls())
    running = workspace.start(command, "b", "--no-progress", "--supervise")
    held_at(workspace, before + 1)
    os.kill(child_of(running), signal.SIGKILL)
    held_at(workspace, before + 2)
    workspace.open_gate()
    done = running.end()
    assert done.returncode == 0, done.stderr
    status = workspace.json("status", "b", "--json")
    assert (status["execution"], status["round"]) == ((2, 1) if command == "rerun" else (1, 2))


@pytest.mark.long
def test_who_crashes_for_ever_gets_an_answer_all_the_same(workspace: Workspace) -> None:
    """An item processor that kills whoever sets it up: a SYSTEM_ERROR that says how often."""
    workspace.processors.write_text("import os\nos._exit(9)\n")
    done = workspace.do("run", workspace.document([1]), "--supervise")
    assert done.returncode == 1
    assert "SYSTEM_ERROR" in done.stdout
    assert json.loads(done.stdout)["status"] == "ERROR"
    assert "crashed 10 times in a row" in done.stdout
