"""Steering running executions from other processes and by signals, from the outside."""

import json
import signal
import subprocess
import sys

import pytest

#: 60 items; after 40 calls items wait for the gate, so 40 outcomes come and four items are in flight.
ITEMS = [{"itemId": f"t-{number}"} for number in range(60)]


def held(workspace, **configuration):
    """A batch that comes to rest at the gate."""
    return workspace.document(
        ITEMS,
        parameters={"gate": str(workspace.gate), "holdAfter": 40},
        configuration=configuration,
        checkpointInterval=10,
        parallelismLevel=4,
    )


def at_the_gate(status):
    """Forty outcomes are recorded, which is more than known to the owner, and four items wait."""
    return (status["succeeded"], status["checkpoints"], status["inFlight"]) == (40, 4, 4)


def test_status_works_while_it_runs(workspace):
    """Another process sees progress, then the end."""
    running = workspace.start("run", held(workspace))
    status = workspace.status_when(at_the_gate)
    assert status["state"] == "RUNNING"
    assert status["open"] == 20
    workspace.open_gate()
    assert running.end().returncode == 0
    assert workspace.json("status", "b")["state"] == "COMPLETED"


def test_results_before_the_end_are_what_is_recorded(workspace):
    """Exit 0, and standard error says how much that is."""
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    done = workspace.do("results", "b")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 40
    assert "40 of 60" in done.stderr
    workspace.open_gate()
    running.end()


def test_sigkill_loses_nothing_recorded(workspace):
    """The same command goes on; items with a recorded outcome never run again."""
    document = held(workspace)
    running = workspace.start("run", document)
    workspace.status_when(at_the_gate)
    recorded = {json.loads(line)["itemId"] for line in workspace.do("results", "b").stdout.splitlines()}
    running.send(signal.SIGKILL)
    running.end()
    before = len(workspace.calls())
    assert workspace.json("status", "b")["state"] == "INTERRUPTED"
    workspace.open_gate()
    done = workspace.do("run", document)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["executionMetadata"]["runs"] == 2
    again = {key.removeprefix("b/") for key in workspace.calls()[before:]}
    assert not again & recorded
    assert again | recorded == {item["itemId"] for item in ITEMS}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_drains_and_checkpoints(workspace, number, code):
    """Items in flight finish, no response is printed, and standard error says how to resume."""
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    running.send(number)
    running.read_error_until(number.name)
    workspace.open_gate()
    done = running.end()
    assert done.returncode == code
    assert done.stdout == ""
    assert "everyitem resume b" in done.stderr
    status = workspace.json("status", "b")
    # the line is printed when the stop has reached the slots: the four in flight finish, and nothing else
    assert (status["state"], status["succeeded"]) == ("INTERRUPTED", 44)
    assert workspace.do("resume", "b").returncode == 0
    assert sorted(workspace.calls()) == sorted(f"b/{item['itemId']}" for item in ITEMS)


def test_a_second_signal_stops_at_once(workspace):
    """Items in flight are interrupted; what was recorded stays."""
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    running.send(signal.SIGINT)
    running.read_error_until("SIGINT")
    running.send(signal.SIGINT)
    assert running.end().returncode == 130
    assert workspace.json("status", "b")["succeeded"] == 40


def test_a_terminal_that_closes_may_say_so_twice(workspace):
    """The shell and the kernel both send SIGHUP: the second one makes nobody hurry."""
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    running.send(signal.SIGHUP)
    running.read_error_until("SIGHUP")
    running.send(signal.SIGHUP)
    workspace.open_gate()
    assert running.end().returncode == 129
    assert workspace.json("status", "b")["succeeded"] == 44


def test_who_ignores_the_end_of_his_terminal_goes_on(workspace):
    """`nohup everyitem run …`: SIGHUP is ignored from the start, and stays so."""
    command = ["nohup", *workspace.command("run", workspace.document([1], processor="hang-up"))]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=workspace._environment
    )
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "SUCCESS")


def test_pause_and_resume_from_other_processes(workspace):
    """A paused execution keeps its owner, starts nothing, and goes on when told."""
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    workspace.do("pause", "b")
    workspace.let_pass(4)
    # the four in flight; an owner that takes its time to hear of it begins others, one with each look
    paused = workspace.status_when(lambda status: status["state"] == "PAUSED" or workspace.let_pass(1))
    assert (paused["ratePerSecond"], paused["etaSeconds"]) == (0.0, None)
    assert paused["succeeded"] == len(workspace.calls()) < 60
    workspace.open_gate()
    still = workspace.json("status", "b")
    assert (still["state"], still["succeeded"]) == ("PAUSED", len(workspace.calls()))
    resumed = workspace.do("resume", "b")
    done = running.end()
    assert done.returncode == resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout) == json.loads(done.stdout)
    assert len(workspace.calls()) == 60


def test_cancel_ends_the_run_with_an_error(workspace):
    """The waiting run prints an ERROR and exits 1; a resume is legal."""
    # the gate stays closed: behind an open one the batch might end before its owner hears of the request
    (workspace.folder / "everyitem.toml").write_text("drain_seconds = 0.2\n")
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    assert workspace.do("cancel", "b").returncode == 0
    done = running.end()
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorCode"] == "EXECUTION_ERROR"
    assert workspace.json("status", "b")["state"] == "CANCELLED"
    workspace.open_gate()
    assert workspace.do("resume", "b").returncode == 0


def test_cancel_works_without_an_owner(workspace):
    """What nobody executes is cancelled by the command itself; there is nothing to pause, though."""
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    running.send(signal.SIGKILL)
    running.end()
    assert workspace.do("pause", "b").returncode == 2
    assert workspace.json("cancel", "b")["state"] == "CANCELLED"
    workspace.open_gate()
    assert workspace.do("resume", "b").returncode == 0
    assert workspace.do("cancel", "b").returncode == 2


def test_a_second_run_attaches(workspace):
    """Exactly one executes, both print the same response."""
    document = held(workspace)
    first = workspace.start("run", document)
    workspace.status_when(at_the_gate)
    second = workspace.start("run", document)
    watching = workspace.start("watch", "b", "--json")
    assert json.loads(watching.process.stdout.readline())["state"] == "RUNNING"
    workspace.open_gate()
    one, other = first.end(), second.end()
    assert one.returncode == other.returncode == 0, other.stderr
    assert json.loads(one.stdout) == json.loads(other.stdout)
    assert len(workspace.calls()) == 60
    assert json.loads(watching.end().stdout.splitlines()[-1])["state"] == "COMPLETED"


def test_plain_progress_goes_to_standard_error(workspace):
    """A run in a pipe says now and then how far it is, and at the end what came of it."""
    done = workspace.do("run", workspace.document(ITEMS))
    assert "SUCCESS, every item succeeded" in done.stderr
    assert "\x1b" not in done.stderr
    assert workspace.do("run", workspace.document(ITEMS), "--no-progress").stderr == ""


def test_ctrl_c_while_watching_is_130(workspace):
    """No traceback."""
    running = workspace.start("run", held(workspace))
    workspace.status_when(at_the_gate)
    watching = workspace.start("watch", "b", "--json")
    assert watching.process.stdout.readline()
    watching.send(signal.SIGINT)
    done = watching.end()
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    workspace.open_gate()
    assert running.end().returncode == 0


def test_the_command_is_also_a_module():
    """`python -m everyitem` works."""
    done = subprocess.run(
        [sys.executable, "-m", "everyitem", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "everyitem" in done.stdout + done.stderr


#: Dies of one item, and leaves its fate unknown.
DEADLY = """
import os
from everyitem import item_processor

@item_processor("deadly")
def deadly(item, context):
    if context.attempt == 1 and item["itemId"] in ("t-1", "t-2", "t-3"):
        os._exit(9)
    return {"seen": item["itemId"], "attempt": context.attempt}
"""


def in_doubt(workspace):
    """A batch of five at-most-once items of which three killed their worker: the error response."""
    workspace.processors.write_text(DEADLY)
    document = workspace.document(
        [{"itemId": f"t-{number}"} for number in range(5)],
        configuration={"processor": "deadly", "delivery": "at-most-once"},
        allocatedResources={"nodes": [{"nodeId": "n", "kind": "process", "slots": 1}]},
    )
    done = workspace.do("run", document)
    assert done.returncode == 1
    return json.loads(done.stdout)


def test_items_in_doubt_are_named_settled_and_then_the_batch_ends(workspace):
    """A killed worker's item is not called again by itself; each of the three decisions is carried out."""
    response = in_doubt(workspace)
    assert response["errorCode"] == "SYSTEM_ERROR"
    assert [text.split("'")[1] for text in response["details"]["systemErrors"]] == ["t-1", "t-2", "t-3"]
    assert workspace.json("status", "b")["inDoubt"] == 3
    listed = [json.loads(line) for line in workspace.do("failures", "b").stdout.splitlines()]
    assert [(one["itemId"], one["status"]) for one in listed] == [
        ("t-1", "IN_DOUBT"),
        ("t-2", "IN_DOUBT"),
        ("t-3", "IN_DOUBT"),
    ]
    assert workspace.json("explain", "b", "t-1")["status"] == "IN_DOUBT"
    runs = workspace.json("status", "b")["runs"]

    assert workspace.do("settle", "b", "t-1", "--succeeded", "--result", '{"paid": 1}').returncode == 0
    assert workspace.do("settle", "b", "t-2", "--failed", "--reason", "refused").returncode == 0
    settled = workspace.json("settle", "b", "t-3", "--again")
    assert (settled["inDoubt"], settled["runs"]) == (0, runs)
    done = workspace.do("resume", "b")
    assert done.returncode == 0, done.stderr
    results = {
        one["itemId"]: one for one in map(json.loads, workspace.do("results", "b").stdout.splitlines())
    }
    assert results["t-1"]["result"] == {"paid": 1}
    assert (results["t-2"]["status"], results["t-2"]["error"]["message"]) == ("FAILED", "refused")
    assert results["t-3"]["result"] == {"seen": "t-3", "attempt": 2}
    settled = workspace.json("explain", "b", "t-2")["attempts"][-1]["settled"]
    assert (settled["decision"], settled["reason"]) == ("failed", "refused")
    assert "@" in settled["by"]
    assert workspace.do("verify", "b").returncode == 0


def test_only_what_is_in_doubt_is_settled_and_only_once(workspace):
    """Unknown items, certain ones, unclear words and second thoughts are wrong usage and change nothing."""
    in_doubt(workspace)
    for arguments in (
        ("t-9", "--failed"),
        ("t-0", "--failed"),
        ("t-1",),
        ("t-1", "--failed", "--again"),
        ("t-1", "--failed", "--result", "1"),
        ("t-1", "--succeeded", "--result", "{"),
    ):
        done = workspace.do("settle", "b", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
    assert workspace.json("status", "b")["inDoubt"] == 3
    assert workspace.do("settle", "b", "t-1", "--failed").returncode == 0
    twice = workspace.do("settle", "b", "t-1", "--succeeded")
    assert (twice.returncode, twice.stdout) == (2, "")
    assert "not in doubt" in twice.stderr
