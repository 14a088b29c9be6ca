"""Looking at executions, from the outside."""

import contextlib
import json
import os
import pty
import sqlite3
from collections import Counter

import jsonschema_rs  # comes with schemathesis
import pytest

ITEMS = [{"itemId": f"t-{number}"} for number in range(30)]


@pytest.fixture
def finished(workspace):
    """A batch of thirty items, one of which failed, with a checkpoint every ten outcomes."""
    workspace.do(
        "run",
        workspace.document(
            [*ITEMS, {"itemId": "bad\x1b[31m", "fail": "no\x1b[2J rate"}], checkpointInterval=10
        ),
    )
    return workspace


def test_status_has_the_contracts_keys(finished):
    """Before anything else those of section 4."""
    status = finished.json("status", "b")
    assert list(status)[:13] == [
        "batchId", "execution", "round", "state", "items", "succeeded", "failed", "open", "inFlight",
        "retriesWaiting", "ratePerSecond", "etaSeconds", "lastCheckpoint",
    ]  # fmt: skip
    assert (status["state"], status["runs"], status["open"]) == ("COMPLETED_WITH_ERRORS", 1, 0)


def test_failures_say_why(finished):
    """Each with the item itself."""
    [failed] = finished.lines("failures", "b")
    assert failed["error"] == {
        "code": "ITEM_ERROR",
        "type": "PermanentItemError",
        "message": "no\x1b[2J rate",
    }
    assert failed["item"]["fail"] == "no\x1b[2J rate"
    assert failed["attempts"] == 1


def test_explain_tells_the_whole_story(finished):
    """Attempt, error, frames of the processor, checkpoint."""
    story = finished.json("explain", "b", "bad\x1b[31m")
    [attempt] = story["attempts"]
    assert attempt["final"]
    assert attempt["checkpoint"] >= 1
    assert attempt["frames"][-1]["function"] == "work"
    assert attempt["frames"][-1]["file"].endswith("processors.py")
    assert finished.do("explain", "b", "nosuch").returncode == 2


def test_checkpoints_add_up(finished):
    """Exactly ten outcomes each, the rest in the last."""
    found = finished.json("checkpoints", "b")
    assert [one["succeeded"] + one["failed"] for one in found] == [10, 10, 10, 1]
    assert [one["sequence"] for one in found] == sorted(one["sequence"] for one in found)


def test_a_sound_execution_verifies(finished):
    """Exit 0 and no fault."""
    found = finished.json("verify", "b")
    assert found == {"batchId": "b", "execution": 1, "sound": True, "faults": []}


def test_events_are_cloud_events(finished):
    """The start, one per checkpoint and failed item, and exactly one at the end: the response."""
    events = finished.lines("events", "b")
    assert [events[0]["type"], events[-1]["type"]] == ["BatchStarted", "BatchExecuted"]
    kinds = Counter(one["type"] for one in events)
    failed = len(finished.lines("failures", "b"))
    assert kinds == {"BatchStarted": 1, "CheckpointCreated": 4, "ItemFailed": failed, "BatchExecuted": 1}
    assert {one["specversion"] for one in events} == {"1.0"}
    assert len({one["id"] for one in events}) == len(events)
    schema = finished.json("schema", "event")
    for event in events:
        jsonschema_rs.validate(schema, event)
    assert events[-1]["subject"] == "b"
    assert events[-1]["data"]["status"] == "SUCCESS"
    assert finished.lines("events", "b", "--follow") == events


def test_watching_what_has_ended_ends(finished):
    """Its status is printed."""
    assert finished.json("watch", "b")["state"] == "COMPLETED_WITH_ERRORS"


def flip(workspace, sequence):
    """One bit of a checkpoint's body, as a bad disk does it."""
    with contextlib.closing(sqlite3.connect(workspace.folder / "store.db")) as database:
        (body,) = database.execute("SELECT body FROM segments WHERE sequence = ?", (sequence,)).fetchone()
        damaged = bytearray(body)
        damaged[len(body) // 2] ^= 1
        database.execute("UPDATE segments SET body = ? WHERE sequence = ?", (bytes(damaged), sequence))
        database.commit()


def test_what_is_not_damaged_can_still_be_read(finished):
    """A damaged checkpoint costs its own items: the rest is printed, the loss is said, the exit code is 1."""
    lost = {line["itemId"] for line in finished.lines("results", "b")}
    flip(finished, 2)
    done = finished.do("results", "b")
    read = {json.loads(line)["itemId"] for line in done.stdout.splitlines()}
    assert (done.returncode, len(read)) == (1, 21)
    assert "10 items unreadable: checkpoint 2 is damaged; see `everyitem verify b`" in done.stderr
    told, untold = finished.do("explain", "b", min(read)), finished.do("explain", "b", min(lost - read))
    assert (told.returncode, len(json.loads(told.stdout)["attempts"])) == (0, 1)
    assert (untold.returncode, json.loads(untold.stdout)["attempts"]) == (1, [])
    assert "checkpoint 2 is damaged" in untold.stderr
    assert len(finished.lines("failures", "b")) == 1


def test_a_recorded_response_over_damage_warns(finished):
    """The response is still what came of the batch; that its proof is damaged is said."""
    flip(finished, 2)
    done = finished.do("run", finished.folder / "b.json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "SUCCESS")
    assert "segment 2 does not match its digest" in done.stderr


def test_damage_accepted_is_repaired(finished):
    """The items of the damaged checkpoint run again, also of a finished batch, and the store is sound."""
    calls = len(finished.calls())
    flip(finished, 2)
    done = finished.do("resume", "b", "--accept-damage")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "SUCCESS"), done.stderr
    assert len(finished.calls()) == calls + 10
    assert finished.json("verify", "b")["sound"]
    assert len(finished.lines("results", "b")) == 31


def test_an_empty_store_file_is_said_to_be_empty(workspace):
    """Not to be of another version."""
    (workspace.folder / "store.db").touch()
    done = workspace.do("list")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is empty" in done.stderr


def test_plan_runs_nothing(workspace):
    """Partitions and every setting with its origin; nothing is stored."""
    plan = workspace.json("plan", workspace.document(ITEMS, parallelismLevel=3), "--max-retries", 1)
    assert sum(one["lastIndex"] - one["firstIndex"] + 1 for one in plan["partitions"]) == 30
    origins = {one["name"]: (one["value"], one["origin"]) for one in plan["settings"]}
    assert origins["parallelismLevel"] == (3, "document")
    assert origins["maxRetryAttempts"] == (1, "cli")
    assert origins["checkpointInterval"] == (1000, "default")
    assert workspace.do("status", "b").returncode == 2


def test_plan_refuses_what_run_would(workspace):
    """With the same response."""
    done = workspace.do("plan", "-", stdin='{"batchId": 3}')
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorCode"] == "EXECUTION_ERROR"


@pytest.mark.parametrize("subject", ["batch", "response", "event"])
def test_schemas_are_printed(workspace, subject):
    """JSON Schema of each document."""
    assert workspace.json("schema", subject)["$schema"].startswith("https://json-schema.org/")


def test_all_events_are_described_in_one_document(workspace):
    """Tools for AsyncAPI read it."""
    assert workspace.json("schema", "asyncapi")["asyncapi"] == "3.0.0"


def test_doctor_examines_the_machine(workspace):
    """Nothing is wrong with a machine that runs tests."""
    found = workspace.json("doctor")
    assert found["healthy"]
    assert {"SQLite", "cores", "memory", "open files", "clock", "disk", "store"} <= {
        one["name"] for one in found["checks"]
    }


def test_a_person_gets_tables_without_control_characters(finished):
    """On a terminal nothing an item says moves the cursor; --json still gives JSON."""
    shown = on_terminal(finished, "failures", "b")
    assert "no\\x1b[2J rate" in shown
    assert "\x1b[2J" not in shown
    assert json.loads(on_terminal(finished, "status", "b", "--json"))["batchId"] == "b"
    assert "Traceback (most recent call last)" in on_terminal(finished, "explain", "b", "bad\x1b[31m")


def test_a_reader_may_stop_reading(finished):
    """`| head` is no error."""
    import subprocess

    reading, writing = os.pipe()
    process = subprocess.Popen(
        finished.command("results", "b"), stdout=writing, stderr=subprocess.PIPE, env=finished._environment
    )
    os.close(writing)
    os.close(reading)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in said


def on_terminal(workspace, *arguments):
    """What a command shows whose standard output is a terminal."""
    import subprocess

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        workspace.command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env={**workspace._environment, "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"},
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed: Linux says so with EIO
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait(60) == 0
    return shown.decode().replace("\r\n", "\n")
