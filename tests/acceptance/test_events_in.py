"""Events from outside that start batches and change their nodes, through every inlet."""

import http.server
import json
import subprocess
import sys
import threading

import pytest
from tests.services.http_server import serving, until

import everyitem
from everyitem.faces.api.incoming import Taken


def event(kind, data, *, event_id="1", **more):
    """A CloudEvent of another system."""
    return {
        "specversion": "1.0", "id": event_id, "source": "/tests", "type": kind, "data": data, **more
    }  # fmt: skip


def allocated(version, *nodes, batch_id="b"):
    """Nodes of (id, slots)."""
    named = [{"nodeId": node_id, "slots": slots} for node_id, slots in nodes]
    data = {"batchId": batch_id, "version": version, "allocatedResources": {"nodes": named}}
    return event("ResourcesAllocated", data, event_id=f"{batch_id}/{version}")


def push(place, *events):
    text = "\n".join(map(json.dumps, events))
    return place.do("events", "push", "-", "--processors", place.processors, stdin=text)


def held(place, kind):
    """A batch of a hundred items on two slots, every one of which waits at the gate."""
    return place.document(
        list(range(100)),
        parameters={"gate": str(place.folder / "gate"), "holdAfter": 0},
        parallelismLevel=9,
        allocatedResources={"nodes": [{"nodeId": "a", "kind": kind, "slots": 2}]},
    )


def in_flight(count):
    return lambda status: status["inFlight"] == count


def test_the_nodes_of_a_running_batch_follow_what_is_allocated(workspace):
    """They grow, come, and go once what they have begun is done; no item is called twice."""
    running = workspace.start("run", held(workspace, "thread"), "--no-progress")
    workspace.status_when(in_flight(2))
    assert push(workspace, allocated(1, ("a", 4))).returncode == 0
    workspace.status_when(in_flight(4))
    assert push(workspace, allocated(3, ("b", 3)), allocated(2, ("a", 50))).returncode == 0
    workspace.status_when(in_flight(4 + 3))
    workspace.open_gate()
    response = json.loads(running.end().stdout)
    assert response["result"]["executionResults"]["itemsSuccessful"] == 100
    assert len(workspace.calls()) == 100


def test_the_next_run_has_what_was_allocated(workspace):
    """Whether the event came while the batch ran or while it was at rest."""
    running = workspace.start("run", held(workspace, "process"), "--no-progress")
    workspace.status_when(in_flight(2))
    running.process.kill()
    running.end()
    push(workspace, allocated(1, ("a", 5)))
    again = workspace.start("resume", "b", "--no-progress")
    workspace.status_when(in_flight(5))
    workspace.open_gate()
    assert again.end().returncode == 0


def test_a_batch_that_is_pushed_waits_for_whoever_carries_it_out(workspace):
    """Pushed again it is known; its history says which event brought it."""
    path = workspace.document([1, 2, 3])
    brought = event("BatchInitialized", json.loads(path.read_text()))
    pushed = push(workspace, brought)
    assert pushed.returncode == 0, pushed.stderr
    assert workspace.status_when(lambda status: True)["state"] == "QUEUED"
    assert json.loads(push(workspace, brought).stdout)["state"] == "KNOWN"
    # the same batch by another event is nothing new either, and other content under its id is refused
    assert json.loads(push(workspace, brought | {"id": "2"}).stdout)["state"] == "ACCEPTED"
    other = brought | {"id": "3", "data": brought["data"] | {"batchItems": [4]}}
    refused = push(workspace, other)
    assert (refused.returncode, json.loads(refused.stdout)["state"]) == (1, "REFUSED")
    (deed,) = workspace.lines("history", "b", "--json")
    assert (deed["action"], deed["detail"]["event"], deed["detail"]["source"]) == ("submit", "1", "/tests")
    assert workspace.do("resume", "b", "--no-progress").returncode == 0
    assert len(workspace.calls()) == 3


@pytest.fixture(scope="module")
def documents():
    """A web server with one document at /allowed/batch.json, and how often it was asked for anything."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(self.server.document).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = asked
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_document_comes_from_where_the_operator_allows_and_from_nowhere_else(workspace, documents):
    """An event must not make this machine call what only it can reach."""
    documents.document = json.loads(workspace.document([1, 2]).read_text())
    url = f"http://127.0.0.1:{documents.server_port}"
    config = workspace.folder / "everyitem.toml"
    config.write_text(f'[sources.http]\nallow = ["{url}/allowed/"]\n')
    by_reference = {"specversion": "1.0", "source": "/tests", "type": "BatchInitialized"}
    refused = push(workspace, by_reference | {"id": "1", "dataref": f"{url}/secret/batch.json"})
    assert "does not allow" in json.loads(refused.stdout)["reason"]
    assert documents.asked == []
    taken = push(workspace, by_reference | {"id": "2", "dataref": f"{url}/allowed/batch.json"})
    assert json.loads(taken.stdout)["batchId"] == "b"
    assert documents.asked == ["/allowed/batch.json"]


def test_a_service_carries_out_what_events_bring(workspace, root):
    """Over HTTP one event or several; from the command line of another machine as well."""
    path = workspace.document([1, 2, 3], batch_id="brought")
    brought = event("BatchInitialized", json.loads(path.read_text()))
    nonsense = event("Nonsense", {}, event_id="9")
    with (
        serving(workspace.folder, root / "src", "--processors", workspace.processors) as server,
        everyitem.connect(server.url) as client,
    ):
        answers = [
            server.post("/v1/events", one) for one in (brought, [brought], [brought, nonsense], nonsense)
        ]
        assert [answer.status for answer in answers] == [202, 200, 202, 422]
        assert [one["state"] for one in answers[2].json["receipts"]] == ["KNOWN", "REFUSED"]
        assert answers[3].headers["content-type"] == "application/problem+json"
        assert "'Nonsense' are not taken" in answers[3].json["errors"][0]["message"]
        assert client.wait("brought", timeout=60).items_successful == 3
        assert len(workspace.calls()) == 3
        assert [one.state for one in client.push(json.dumps(brought).encode())] == [Taken.KNOWN]
        assert [one.state for one in client.push(b"{}\n[]")] == [Taken.REFUSED] * 2
        remote = subprocess.run(
            [sys.executable, "-m", "everyitem", "--server", server.url, "events", "push", "-"],
            input=json.dumps(nonsense), text=True, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert (remote.returncode, json.loads(remote.stdout)["state"]) == (1, "REFUSED")


def test_a_service_gives_a_batch_what_is_allocated_to_it(workspace, root):
    """Without a restart of its process; a number that was capped at first is reached."""
    document = json.loads(held(workspace, "thread").read_text())
    arguments = ("--processors", workspace.processors)
    with (
        # a machine of one core would not hand out so many slots
        serving(workspace.folder, root / "src", *arguments, EVERYITEM_SERVICE_CORES="8") as server,
        everyitem.connect(server.url) as client,
    ):
        client.submit(document)
        until(lambda: client.status("b").in_flight == 2)
        assert server.post("/v1/events", allocated(1, ("a", 6))).status == 202
        until(lambda: client.status("b").in_flight == 6)
        workspace.open_gate()
        assert client.wait("b", timeout=60).items_successful == 100
        assert client.status("b").runs == 1
