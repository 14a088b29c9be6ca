"""Deferred items from outside: a processor that only hands over, and events that complete its items."""

import json
import random
import signal

import pytest
from tests.acceptance.conftest import PROCESSORS

DEFERRING = '''

from everyitem import Deferred


@item_processor("defer")
def defer(item, context):
    """Notes the call; the outcome will come as an event."""
    work(item, context)
    return Deferred(context.parameters["timeout"])
'''


@pytest.fixture
def place(workspace):
    workspace.processors.write_text(PROCESSORS + DEFERRING)
    return workspace


def batch(place, count, *, timeout=600, **configuration):
    return place.document(
        [{"itemId": f"i{number}"} for number in range(count)],
        processor="defer",
        parameters={"timeout": timeout},
        configuration={"retry": {"initialDelayMs": 1}, **configuration},
        allocatedResources={"nodes": [{"kind": "thread", "slots": 1}]},
    )


def completed(item_id, attempt=1, *, event_id=None, **said):
    """An event; a success with the item's id as its result, unless something else is said."""
    data = {"batchId": "b", "itemId": item_id, "attempt": attempt}
    data |= said or {"status": "SUCCEEDED", "result": item_id}
    return {
        "specversion": "1.0",
        "id": event_id or f"{item_id}/{attempt}",
        "source": "/tests",
        "type": "ItemProcessingCompleted",
        "data": data,
    }


def push(place, events):
    return place.do("events", "push", "-", stdin="\n".join(map(json.dumps, events)))


def test_hundreds_wait_on_one_slot_and_survive_a_kill(place):
    """Nobody is called again for what is deferred; the events complete the batch in the next run."""
    document = batch(place, 500)
    running = place.start("run", document, "--no-progress")
    place.status_when(lambda status: status["deferred"] == 500)
    running.send(signal.SIGKILL)
    running.end()
    assert place.json("status", "b", "--json")["deferred"] == 500
    done = push(place, [completed(f"i{number}") for number in range(500)])
    assert done.returncode == 0, done.stderr
    response = place.json("run", document, "--no-progress")
    assert response["result"]["executionResults"]["itemsSuccessful"] == 500
    assert len(place.calls()) == 500
    assert [line["result"] for line in place.lines("results", "b")] == [f"i{n}" for n in range(500)]
    assert place.json("verify", "b", "--json")["sound"]


def test_events_three_times_in_any_order_leave_the_same_end_state(place):
    """Half of them before the batch is known, half while it runs; one item fails, one is told twice."""
    said = [completed(f"i{number}") for number in range(6)]
    said.append(completed("i6", status="FAILED", error={"code": "ITEM_ERROR", "message": "no"}))
    replayed = said * 3
    random.Random(19).shuffle(replayed)
    assert push(place, replayed[:10]).returncode == 0
    running = place.start("run", batch(place, 7), "--no-progress")
    place.status_when(lambda status: status["state"] in ("RUNNING", "COMPLETED_WITH_ERRORS"))
    assert push(place, replayed[10:]).returncode == 0
    assert json.loads(running.end().stdout)["result"]["executionResults"]["itemsFailed"] == 1
    lines = place.lines("results", "b")
    assert [line["status"] for line in lines] == ["SUCCEEDED"] * 6 + ["FAILED"]
    assert len(place.calls()) == 7
    # after the end they change nothing either
    again = push(place, said)
    assert [json.loads(line)["state"] for line in again.stdout.splitlines()] == ["KNOWN"] * 7
    assert place.lines("results", "b") == lines


def test_without_an_event_the_attempt_times_out_and_is_retried(place):
    """A late event of the first attempt does not count for the second."""
    document = batch(place, 1, timeout=0.2, maxRetryAttempts=1)
    response = place.json("run", document, "--no-progress")
    assert response["result"]["executionResults"]["itemsFailed"] == 1
    assert push(place, [completed("i0")]).returncode == 0
    (line,) = place.lines("results", "b")
    assert (line["attempts"], line["error"]["code"]) == (2, "TIMEOUT_ERROR")


def test_a_refused_event_is_told_and_leaves_the_others_alone(place):
    """The exit code says that there was one; a file that is not there is a matter of usage."""
    done = push(place, [completed("i0"), {"specversion": "1.0"}, completed("i1")])
    assert done.returncode == 1
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert states == ["ACCEPTED", "REFUSED", "ACCEPTED"]
    assert place.do("events", "push", "nosuch.json").returncode == 2
    assert place.do("events", "b", "nosuch.json").returncode == 2
