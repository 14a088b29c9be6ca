"""The real command on a PostgreSQL store: everything a person does, and nowhere the password."""

import json
import signal

import pytest
from tests.services.postgres import PostgresServer

pytestmark = pytest.mark.service

PASSWORD = "secret"


@pytest.fixture
def on_postgres(workspace, postgres: PostgresServer, store_name: str):
    """A workspace whose store is on the server; the password stands in the URL."""
    workspace.store = f"{postgres.url}?schema={store_name}"
    assert f":{PASSWORD}@" in workspace.store
    return workspace


def test_a_batch_is_run_looked_at_and_redriven(on_postgres):
    """Every command takes the store, and none shows the password."""
    items = [{"itemId": "a"}, {"itemId": "b", "fail": "no\u0000way"}, {"itemId": "c", "value": "\u0000"}]
    path = on_postgres.document(items)
    said = []
    ran = on_postgres.do("run", path)
    said.append(ran)
    assert json.loads(ran.stdout)["result"]["executionResults"]["itemsFailed"] == 1
    assert [one["itemId"] for one in on_postgres.lines("results", "b")] == ["a", "b", "c"]
    assert "no\\u0000way" in on_postgres.do("failures", "b", "--json").stdout
    for command in (
        ("status", "b"),
        ("list",),
        ("explain", "b", "b"),
        ("checkpoints", "b"),
        ("verify", "b"),
        ("events", "b"),
        ("doctor",),
        ("redrive", "b"),
        ("rerun", "b"),
        ("run", path),
    ):
        said.append(on_postgres.do(*command))
        assert said[-1].returncode == 0, said[-1].stderr
    unknown = on_postgres.do("status", "nothing")
    assert unknown.returncode == 2
    for done in (*said, unknown):
        assert PASSWORD not in done.stdout + done.stderr


def test_a_stopped_run_goes_on_where_it_was(on_postgres):
    """SIGTERM, the hint how to resume, and the resume; the hint hides the password."""
    path = on_postgres.document(
        list(range(50)), parameters={"gate": str(on_postgres.gate), "holdAfter": 20}, checkpointInterval=5
    )
    running = on_postgres.start("run", path)
    on_postgres.status_when(lambda status: status["succeeded"] >= 15)
    running.send(signal.SIGTERM)
    # opened sooner, the gate might let the batch end before the signal is heard
    said = running.read_error_until("SIGTERM")
    on_postgres.open_gate()
    ended = running.end()
    assert ended.returncode == 143
    assert "everyitem resume b" in said + ended.stderr
    assert PASSWORD not in said + ended.stderr
    resumed = on_postgres.do("resume", "b")
    assert json.loads(resumed.stdout)["result"]["executionResults"]["itemsProcessed"] == 50
    assert len(set(on_postgres.calls())) == 50


def test_a_second_process_attaches_and_a_third_cancels(on_postgres):
    """Two processes, one execution; what is asked from elsewhere reaches the owner."""
    path = on_postgres.document(list(range(50)), parameters={"gate": str(on_postgres.gate), "holdAfter": 20})
    owner = on_postgres.start("run", path)
    on_postgres.status_when(lambda status: status["state"] == "RUNNING")
    second = on_postgres.start("run", path)
    second.read_error_until("being executed by another process")
    assert on_postgres.do("cancel", "b").returncode == 0
    on_postgres.open_gate()
    first, other = owner.end(), second.end()
    assert first.returncode == other.returncode
    assert json.loads(first.stdout) == json.loads(other.stdout)


@pytest.mark.parametrize("command", [("run", "b.json"), ("list",), ("doctor",)])
def test_a_server_that_cannot_be_reached_is_said_without_the_password(on_postgres, command):
    """A wrong port: exit code 1 or 2, a sentence, and no secret."""
    on_postgres.document([1])
    on_postgres.store = f"postgresql://u:{PASSWORD}@127.0.0.1:1/db"
    done = on_postgres.do(*command)
    assert done.returncode in {1, 2}
    assert "127.0.0.1" in done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
