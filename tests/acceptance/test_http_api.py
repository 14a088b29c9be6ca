"""The HTTP API as a program on another machine sees it."""

import base64
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.services.http_server import HttpServer, serving, until

import everyitem
from everyitem.model.errors import ContentDiffers, DocumentRefused, UnknownBatch

PROCESSORS = """
import os, time
from everyitem import PermanentItemError, item_processor


@item_processor("work")
def work(item, context):
    gate = context.parameters.get("gate")
    while gate and not os.path.exists(gate) and not context.cancelled:
        time.sleep(0.005)
    if isinstance(item, dict) and "fail" in item:
        raise PermanentItemError(item["fail"] + context.parameters.get("password", ""))
    return {"seen": item}
"""


def document(batch_id, items, **parameters):
    return {
        "batchId": batch_id,
        "batchItems": items,
        "processingConfiguration": {"processor": "work", "parameters": parameters},
        "allocatedResources": {},
        "executionPlan": {},
        "checkpointInterval": 2,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the server works."""
    made = tmp_path_factory.mktemp("http")
    (made / "processors.py").write_text(PROCESSORS)
    return made


@pytest.fixture(scope="module")
def server(folder, root):
    """A server on loopback."""
    with serving(
        folder,
        root / "src",
        "--processors",
        folder / "processors.py",
        EVERYITEM_SECRET_DB="hunter2-canary",
        # machines of one core, too, run some items at once; and items that wait for a gate do not drain
        EVERYITEM_SERVICE_CORES="8",
        EVERYITEM_DRAIN_SECONDS="0.2",
    ) as running:
        yield running


@pytest.fixture
def client(server):
    """A typed client of it."""
    with everyitem.connect(server.url) as made:
        yield made


def finished(server: HttpServer, client, batch: dict) -> str:
    """Hand a batch in and wait for its end."""
    client.submit(batch)
    client.wait(batch["batchId"], timeout=60)
    return f"/v1/batches/{batch['batchId']}"


def test_a_batch_is_accepted_carried_out_and_answered(server, client):
    """202 and where it is; then its response, its results in item order, its failures."""
    batch = document("first", [1, {"itemId": "x", "fail": "no"}, 2.50])
    accepted = server.post("/v1/batches", batch)
    assert (accepted.status, accepted.headers["location"]) == (202, "/v1/batches/first")
    client.wait("first", timeout=60)
    assert server.get("/v1/batches/first").json["state"] == "COMPLETED_WITH_ERRORS"
    response = server.get("/v1/batches/first/response").json
    assert response["result"]["executionResults"]["itemsFailed"] == 1
    results = server.get("/v1/batches/first/results")
    assert results.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["itemId"] for line in results.body.splitlines()] == ["0", "x", "2"]
    assert [one["itemId"] for one in server.get("/v1/batches/first/failures").json["failures"]] == ["x"]
    assert server.get("/v1/batches/first/checkpoints").json["checkpoints"]
    assert [one["action"] for one in server.get("/v1/batches/first/history").json["deeds"]] == ["submit"]


def test_the_same_content_is_the_same_batch_and_other_content_is_refused(server, client):
    """200 for what is known, 409 for another content under the same id."""
    finished(server, client, document("known", [1]))
    assert server.post("/v1/batches", document("known", [1])).status == 200
    differs = server.post("/v1/batches", document("known", [2]))
    assert (differs.status, differs.headers["content-type"]) == (409, "application/problem+json")


@pytest.mark.parametrize("senders", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_many_of_the_same_make_one_execution(server, senders):
    """F38: however many send it at once."""
    batch = document(f"raced-{senders}", [1, 2, 3])
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: server.post("/v1/batches", batch), range(senders)))
    assert sorted({answer.status for answer in answers}) == [200, 202]
    assert sum(answer.status == 202 for answer in answers) == 1
    assert {answer.json["execution"] for answer in answers} == {1}


def test_every_problem_of_a_document_is_listed(server):
    """422 with all of them, each with its place."""
    bad = document("bad", [{"itemId": "a"}, {"itemId": "a"}, {"itemId": 3}])
    bad["priority"] = "SOON"
    bad["processingConfiguration"]["processor"] = "nobody"
    bad["processingConfiguration"]["parameters"] = {"password": {"secretRef": "unknown"}}
    answer = server.post("/v1/batches", bad)
    assert answer.status == 422
    paths = {one["path"] for one in answer.json["errors"]}
    assert paths >= {
        "$.priority",
        "$.processingConfiguration.processor",
        "$.processingConfiguration.parameters.password",
        "$.batchItems[1].itemId",
        "$.batchItems[2].itemId",
    }


@pytest.mark.parametrize("body", [b"", b"[", b"null", b'{"a":NaN}', b"\xff", b'"\\ud800"'])
def test_what_is_no_document_is_a_problem_and_no_mistake_of_the_server(server, body):
    """Whatever the bytes are."""
    answer = server.request("POST", "/v1/batches", body=body)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")


def test_ids_may_hold_anything(server, client):
    """Slashes, blanks and signs, percent-encoded, stay one part of the path."""
    for batch_id in ("a/b", "a b", "100%25", "ä#?&", "..%2f", "response"):
        client.submit(document(batch_id, [1]))
        assert client.status(batch_id).batch_id == batch_id


def test_a_response_is_409_until_there_is_one_and_controls_say_where_it_stands(server, client, folder):
    """Pause, resume, cancel, resume again; each change is in the history with who made it."""
    gate = folder / "gate-steered"
    client.submit(document("steered", list(range(50)), gate=str(gate)))
    assert server.get("/v1/batches/steered/response").status == 409
    assert server.request("PATCH", "/v1/batches/steered/resources", {"parallelism": 2}).status == 200
    assert server.request("PATCH", "/v1/batches/steered/priority", {"priority": "HIGH"}).status == 200
    assert server.post("/v1/batches/steered/cancel").status == 200
    # the gate stays closed: behind an open one the batch might end before its process hears of the request
    wait_for(client, "steered", "CANCELLED")
    gate.touch()
    assert server.post("/v1/batches/steered/pause").status == 409
    assert server.post("/v1/batches/steered/resume").status == 202
    assert client.wait("steered", timeout=60).items_successful == 50
    deeds = server.get("/v1/batches/steered/history").json["deeds"]
    assert [one["action"] for one in deeds] == ["submit", "parallelism", "priority", "cancel", "resume"]
    assert {one["actor"] for one in deeds} == {"local"}


def test_the_parallelism_of_a_running_batch_changes_at_once(server, client, folder):
    """More and fewer items run at once; it is the same run all the time."""
    gate = folder / "gate-resized"
    wide = document("resized", list(range(60)), gate=str(gate))
    wide |= {"parallelismLevel": 2, "allocatedResources": {"maxParallelism": 20}}
    client.submit(wide)
    until(lambda: client.status("resized").in_flight == 2)
    assert server.request("PATCH", "/v1/batches/resized/resources", {"parallelism": 7}).status == 200
    until(lambda: client.status("resized").in_flight == 7)
    assert server.request("PATCH", "/v1/batches/resized/resources", {"parallelism": 3}).status == 200
    until(lambda: server.get("/v1/batches/resized").json["parallelism"] == 3)
    gate.touch()
    assert client.wait("resized", timeout=60).items_successful == 60
    assert client.status("resized").runs == 1


def wait_for(client, batch_id, state):
    """Until the execution is in this state."""
    until(lambda: client.status(batch_id).state == state)


def test_a_redrive_runs_corrected_items_with_every_digit(server, client):
    """The corrected payload is taken as it was sent."""
    finished(server, client, document("again", [{"itemId": "x", "fail": "no"}]))
    answer = server.request(
        "POST",
        "/v1/batches/again/redrive",
        body=b'{"items": {"x": {"itemId": "x", "n": 1.10000000000000000001}}}',
    )
    assert answer.status == 202
    client.wait("again", timeout=60)
    assert client.status("again").failed == 0
    assert b"1.10000000000000000001" in server.get("/v1/batches/again/items/x").body


def test_events_go_on_behind_the_last_one_a_client_has(server, client):
    """Each once, in order; at the end the stream ends, and asking again is answered with 204."""
    path = finished(server, client, document("told", [1, 2, 3, 4]))
    seen = messages(server.get(f"{path}/events").body)
    told = ["BatchStarted", "CheckpointCreated", "CheckpointCreated", "BatchExecuted"]
    assert [kind for _, kind in seen] == told
    later = messages(server.get(f"{path}/events", Last_Event_ID=seen[0][0]).body)
    assert later == seen[1:]
    assert server.get(f"{path}/events", Last_Event_ID=seen[-1][0]).status == 204


def messages(stream):
    """Id and type of each message."""
    found = []
    for block in stream.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "id" in fields:
            found.append((fields["id"], fields["event"]))
    return found


def test_causes_that_differ_in_ids_only_are_told_as_one(server, client):
    """As recorded and as the owner told them while it ran; nothing is lost by it."""
    items = [1, *({"fail": f"no account {number}"} for number in range(5)), {"fail": "no date"}]
    where = finished(server, client, document("alike", items))
    recorded = server.get(f"{where}/causes?alike=true").json["causes"]
    assert [(one["items"], one["causes"]) for one in recorded] == [(5, 5), (1, 1)]
    assert len(server.get(f"{where}/causes").json["causes"]) == 6
    told = server.get(f"{where}/live").json["causes"]
    assert [(one["failed"], one["retried"]) for one in told] == [(5, 0), (1, 0)]
    assert told[1]["cause"] == "PermanentItemError: no date"


def test_the_list_comes_in_pages(server, client):
    """Newest first; every execution on exactly one page."""
    for number in range(5):
        client.submit(document(f"page-{number}", [number]))
    seen, cursor = [], ""
    while cursor is not None:
        page = server.get(f"/v1/batches?limit=2{cursor and f'&cursor={cursor}'}").json
        assert len(page["batches"]) <= 2
        seen += [one["batchId"] for one in page["batches"]]
        cursor = page["nextCursor"]
    assert len(seen) == len(set(seen)) == len(client.list())


@pytest.mark.parametrize("position", [10**30, -5, "x", ""])
def test_a_cursor_nobody_handed_out_is_refused(server, position):
    """Also one beyond what a database can count."""
    cursor = base64.urlsafe_b64encode(str(position).encode()).decode()
    answer = server.get(f"/v1/batches?cursor={cursor}")
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")


def test_the_report_may_look_as_it_does(server, client):
    """A browser holds it to the policy of the header, too: that one must allow its style, and no script."""
    answer = server.get(finished(server, client, document("reported", [1])) + "/report")
    style = answer.body.partition(b"<style>")[2].partition(b"</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_a_secret_is_nowhere_but_in_the_worker(server, client, folder):
    """F40: neither in the store, nor in any answer, nor in a log."""
    batch = document("secret", [{"fail": "log in with "}], password={"secretRef": "db"})
    path = finished(server, client, batch)
    recorded = ("", "/results", "/failures", "/response", "/items/0", "/causes", "/live", "/report")
    answers = [server.get(path + part).body for part in recorded]
    events = server.get(f"{path}/events").body
    assert b"log in with ***" in answers[1]
    everything = [*answers, events, "".join(server.said).encode()]
    everything += [one.read_bytes() for one in folder.rglob("*") if one.is_file()]
    assert not [one for one in everything if b"hunter2-canary" in one]


def test_the_client_raises_what_a_session_raises(client):
    """The same errors, by type."""
    client.submit(document("typed", [1]))
    with pytest.raises(ContentDiffers):
        client.submit(document("typed", [2]))
    with pytest.raises(DocumentRefused) as refused:
        client.submit({"batchId": ""})
    assert len(refused.value.problems) > 2
    with pytest.raises(UnknownBatch):
        client.status("nobody")
    assert client.explain("typed", "0").item == 1


def everyitem_command(server, folder: Path, root: Path, *arguments):
    import os
    import subprocess

    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    return subprocess.run(
        [sys.executable, "-m", "everyitem", "--server", server.url, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        cwd=folder,
        env=environment,
    )


def test_commands_work_on_a_server_as_on_a_store(server, folder, root):
    """run prints the response with the same exit code; the others look at it."""
    batch = folder / "remote.json"
    batch.write_text(json.dumps(document("remote", [1, {"fail": "no"}])))
    done = everyitem_command(server, folder, root, "run", batch, "--fail-on-item-failure")
    assert done.returncode == 3
    assert json.loads(done.stdout)["result"]["executionResults"]["itemsFailed"] == 1
    assert "carried out elsewhere" in done.stderr
    assert f"everyitem failures remote --server {server.url}" in done.stderr
    again = everyitem_command(server, folder, root, "run", batch)
    assert "recorded before; nothing ran now" in again.stderr
    status = everyitem_command(server, folder, root, "status", "remote")
    assert json.loads(status.stdout)["state"] == "COMPLETED_WITH_ERRORS"
    results = everyitem_command(server, folder, root, "results", "remote")
    assert len(results.stdout.splitlines()) == 2
    assert everyitem_command(server, folder, root, "status", "nobody").returncode == 2
    batch.write_text(json.dumps({"batchId": "remote"}))
    refused = everyitem_command(server, folder, root, "run", batch, "--no-progress")
    assert (refused.returncode, json.loads(refused.stdout)["errorCode"]) == (1, "EXECUTION_ERROR")


def test_events_of_many_failures_are_handed_out_some_at_a_time(server, client):
    """Each once and in order, by the client and by the stream; some types may be left out."""
    path = finished(server, client, document("many", [{"fail": "no"}] * 1500))
    found = client.events("many")
    assert [one.type for one in found].count("ItemFailed") == 1500
    assert [one.sequence for one in found] == sorted({one.sequence for one in found})
    assert len(messages(server.get(f"{path}/events").body)) == len(found)
    assert {one.type for one in client.events("many", without=["ItemFailed", "CheckpointCreated"])} == {
        "BatchStarted",
        "BatchExecuted",
    }
    assert len(client.events("many", limit=7)) == 7


def test_metrics_are_there_for_prometheus(server, client):
    """What runs, and the store as a whole."""
    finished(server, client, document("measured", [1]))
    answer = server.get("/metrics")
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert b'everyitem_executions{state="COMPLETED"}' in answer.body
