"""`everyitem member` against a platform that speaks the real gRPC service: entities in, entities out."""

import json
import signal
import sqlite3
from collections import Counter

import pytest
from tests.faults.rigs.cyoda_platform import PATIENCE, TENANT, DispatchFailed, Pending, Platform

from everyitem.faces.cyoda.protocol.cloudevents_pb2 import CloudEvent


@pytest.fixture
def platform():
    """A platform on a free port."""
    made = Platform(probe_every=0.2).start()
    yield made
    made.stop()


@pytest.fixture
def start(workspace, platform):
    """Start a member and wait until it has joined."""

    def start(*arguments):
        running = workspace.start(
            "member", "--endpoint", platform.address, "--plaintext", *arguments,
            "--processors", workspace.processors,
        )  # fmt: skip
        return running, platform.joined.get(timeout=PATIENCE)

    return start


def entity(workspace, items, *, batch_id="b", parameters=None, configuration=None, **top):
    """A `ProcessingBatch` entity whose processor notes every call in the ledger."""
    path = workspace.document(
        items, batch_id=batch_id, parameters=parameters, configuration=configuration, **top
    )
    return json.loads(path.read_text())


def held(workspace, after):
    """Parameters that hold all items but the first few until the gate opens."""
    return {"gate": str(workspace.gate), "holdAfter": after}


def test_ten_thousand_items_complete_and_come_back_in_the_entity(workspace, platform, start):
    """While it runs the entity is readable in `executing`; afterwards it carries what came of it."""
    start()
    items = [{"itemId": f"i-{k}", "n": k} for k in range(10_000)]
    body = entity(workspace, items, parameters=held(workspace, 100), comment={"kept": 1.5})
    entity_id = platform.create(body)
    done = platform.executing(entity_id)
    workspace.status_when(lambda status: status["succeeded"] > 0 or status["inFlight"])
    assert platform.state(entity_id) == "executing"
    workspace.open_gate()
    assert done.result(PATIENCE) == "completed"
    after = platform.body(entity_id)
    assert {name: after[name] for name in body} == body
    assert after["executionResults"]["itemsSuccessful"] == 10_000
    assert after["executionMetadata"]["resultReference"] == f"b#{TENANT}/{entity_id}@1.1.1"
    assert platform.entities[entity_id]["visits"] == ["created", "executing", "executed", "completed"]
    assert set(Counter(workspace.calls()).values()) == {1}


def test_failed_items_complete_with_errors_and_redrive_runs_only_them(workspace, platform, start):
    """An entity that carries the recorded outcome and is executed again is redriven."""
    start()
    entity_id = platform.create(entity(workspace, [{"n": 1}, {"fail": "no"}, {"n": 3}]))
    assert platform.execute(entity_id) == "completed_with_errors"
    (failed,) = platform.body(entity_id)["failedItems"]
    assert (failed["itemId"], failed["message"]) == ("1", "PermanentItemError: no")
    assert platform.execute(entity_id) == "completed_with_errors"
    assert Counter(key.rpartition("/")[2] for key in workspace.calls()) == {"0": 1, "1": 2, "2": 1}
    assert platform.body(entity_id)["executionMetadata"]["resultReference"].endswith("@1.2.2")


def test_a_failed_batch_is_data_and_retry_resumes_it(workspace, platform, start):
    """The entity moves to `failed` with the reason; executed again, it goes on where it was."""
    start()
    body = entity(workspace, [{"n": 1}, {"fail": "no"}, *[{"n": k} for k in range(50)]],
                  errorHandlingStrategy="FAIL_FAST", parallelismLevel=1)  # fmt: skip
    entity_id = platform.create(body)
    assert platform.execute(entity_id) == "failed"
    after = platform.body(entity_id)
    assert after["executionStatus"] == "FAILED"
    assert after["executionError"]["errorCode"] == "ITEM_ERROR"
    assert set(after["executionError"]["details"]) == {
        "systemErrors", "resourceErrors", "dataErrors", "timeoutErrors",
    }  # fmt: skip
    platform.execute(entity_id)
    assert platform.body(entity_id)["executionMetadata"]["runs"] == 2
    assert Counter(workspace.calls())[f"b#{TENANT}/{entity_id}/0"] == 1


def test_a_document_that_is_refused_fails_with_all_its_problems(workspace, platform, start):
    """And once it is corrected, a retry runs it."""
    start()
    entity_id = platform.create(entity(workspace, [{"n": 1}]) | {"batchItems": 7})
    assert platform.execute(entity_id) == "failed"
    assert "$.batchItems" in platform.body(entity_id)["executionError"]["errorMessage"]
    platform.update(entity_id, batchItems=[{"n": 1}])
    assert platform.execute(entity_id) == "completed"


def test_an_executed_entity_with_other_items_is_not_taken_for_the_old_one(workspace, platform, start):
    """Neither the recorded answer nor a redrive of the old items: it says what to do."""
    start()
    entity_id = platform.create(entity(workspace, [{"n": 1}, {"fail": "no"}]))
    assert platform.execute(entity_id) == "completed_with_errors"
    platform.update(entity_id, batchItems=[{"n": 1}, {"n": 2}])
    assert platform.execute(entity_id) == "failed"
    assert "use another batchId" in platform.body(entity_id)["executionError"]["errorMessage"]
    platform.update(entity_id, batchId="c")
    assert platform.execute(entity_id) == "completed"
    assert len(workspace.calls()) == 4


def test_entities_with_one_batch_id_are_batches_of_their_own(workspace, platform, start):
    """Store and idempotency keys tell them apart; commands want the whole name where two match."""
    start()
    ids = [platform.create(entity(workspace, [{"n": n}])) for n in (1, 2)]
    assert [platform.execute(ids[0])] == ["completed"]
    assert workspace.json("status", "b", "--json")["state"] == "COMPLETED"
    assert platform.execute(ids[1]) == "completed"
    assert sorted(workspace.calls()) == sorted(f"b#{TENANT}/{one}/0" for one in ids)
    ambiguous = workspace.do("status", "b")
    assert ambiguous.returncode == 2
    assert all(one in ambiguous.stderr for one in ids)
    assert workspace.json("status", f"b#{TENANT}/{ids[1]}", "--json")["succeeded"] == 1


def test_three_entities_are_executed_at_once(workspace, platform, start):
    """None waits for another one's gate."""
    start()
    ids = [
        platform.create(entity(workspace, [{"n": k}], batch_id=f"b{k}", parameters=held(workspace, 0)))
        for k in range(3)
    ]
    running = [platform.executing(one) for one in ids]
    for k in range(3):
        workspace.status_when(lambda status: status["inFlight"] == 1, f"b{k}")
    workspace.open_gate()
    assert [one.result(PATIENCE) for one in running] == ["completed"] * 3


def test_an_entity_updated_while_executing_runs_once_and_keeps_the_update(workspace, platform, start):
    """The platform dispatches again and takes the newest answer, built on the newest entity."""
    start()
    entity_id = platform.create(entity(workspace, [{"n": 1}], parameters=held(workspace, 0)))
    first = platform.executing(entity_id)
    workspace.status_when(lambda status: status["inFlight"] == 1)
    platform.update(entity_id, comment="new")
    second = platform.executing(entity_id)
    stream = platform.history[-1]
    workspace.status_when(lambda _: len(stream.pending) == 2)
    workspace.open_gate()
    assert second.result(PATIENCE) == "completed"
    with pytest.raises(DispatchFailed, match="ENTITY_MODIFIED"):
        first.result(PATIENCE)
    assert platform.body(entity_id)["comment"] == "new"
    assert len(workspace.calls()) == 1


def test_other_items_while_executing_are_refused(workspace, platform, start):
    """One flight has one set of inputs."""
    start()
    entity_id = platform.create(entity(workspace, [{"n": 1}], parameters=held(workspace, 0)))
    first = platform.executing(entity_id)
    workspace.status_when(lambda status: status["inFlight"] == 1)
    platform.update(entity_id, batchItems=[{"n": 2}])
    with pytest.raises(DispatchFailed, match="ENTITY_CHANGED"):
        platform.execute(entity_id)
    workspace.open_gate()
    with pytest.raises(DispatchFailed, match="ENTITY_MODIFIED"):
        first.result(PATIENCE)


def test_sigterm_drains_and_another_member_goes_on(workspace, platform, start):
    """The caller is told to ask again, and no recorded item is called twice."""
    config = workspace.folder / "everyitem.toml"
    config.write_text("drain_seconds = 0.2\n")
    running, _ = start("--config", config)
    entity_id = platform.create(
        entity(workspace, [{"n": k} for k in range(20)], parameters=held(workspace, 8), parallelismLevel=1)
    )
    first = platform.executing(entity_id)
    workspace.status_when(lambda status: status["inFlight"] == 1)
    running.send(signal.SIGTERM)
    with pytest.raises(DispatchFailed, match="MEMBER_STOPPING"):
        first.result(PATIENCE)
    ended = running.end()
    assert ended.returncode == 143, ended.stderr
    assert platform.state(entity_id) == "executing"
    workspace.open_gate()
    start()
    assert platform.execute(entity_id) == "completed"
    assert platform.body(entity_id)["executionResults"]["itemsSuccessful"] == 20


def test_an_answer_that_was_lost_is_given_again_from_the_record(workspace, platform, start):
    """Nothing runs twice because a stream broke at the wrong moment."""
    start()
    platform.lose_answers = 1
    entity_id = platform.create(entity(workspace, [{"n": 1}, {"fail": "no"}]))
    with pytest.raises(DispatchFailed, match="DISCONNECTED"):
        platform.execute(entity_id)
    platform.joined.get(timeout=PATIENCE)
    assert platform.execute(entity_id) == "completed_with_errors"
    assert len(workspace.calls()) == 2


def test_an_entity_that_is_not_attached_is_fetched(workspace, platform, start):
    """With all its digits."""
    start()
    body = json.dumps(entity(workspace, [{"n": 1}]))[:-1] + ', "exact": 1.10000000000000000000000001}'
    entity_id = platform.create(body)
    assert platform.execute(entity_id, attach=False) == "completed"
    assert '"exact":1.10000000000000000000000001' in platform.bodies[entity_id]


def test_initialize_fills_in_resources_and_plan(workspace, platform, start):
    """From created to completed with this member alone; an invalid batch stays where it is."""
    start()
    body = entity(workspace, [{"n": k} for k in range(100)])
    del body["allocatedResources"], body["executionPlan"]
    entity_id = platform.create(body)
    platform.initialize(entity_id)
    planned = platform.body(entity_id)
    assert planned["executionPlan"]["partitions"][-1]["lastIndex"] == 99
    assert planned["allocatedResources"]["nodes"][0]["slots"] > 0
    assert planned["executionPlan"]["estimatedDurationMs"] is None
    assert platform.execute(entity_id) == "completed"
    platform.initialize(again := platform.create(body))
    assert platform.body(again)["executionPlan"]["estimatedDurationMs"] >= 0
    wrong = platform.create(body | {"processingConfiguration": {"processor": "nobody"}})
    with pytest.raises(DispatchFailed, match=r"INVALID_BATCH.*nobody"):
        platform.initialize(wrong)


def test_process_parameters_are_defaults_and_the_deadline_ends_a_batch(workspace, platform, start):
    """`processParamId` chooses them; an unknown one is a warning; `deadlineMs` is the smaller limit."""
    config = workspace.folder / "everyitem.toml"
    ledger = json.dumps(str(workspace.ledger))
    config.write_text(f"[cyoda.process-parameters.id-1]\nledger = {ledger}\npid = true\n")
    start("--config", config)
    body = entity(workspace, [{"n": 1}])
    body["processingConfiguration"]["parameters"] = {}
    entity_id = platform.create(body)
    assert platform.execute(entity_id, parameters={"processParamId": "id-1"}) == "completed"
    assert platform.body(entity_id)["executionMetadata"]["processParamId"] == "id-1"
    assert len(workspace.calls()) == 1
    other = platform.create(entity(workspace, [{"n": 1}], parameters=held(workspace, 0)))
    asked = {"processParamId": "unknown", "deadlineMs": 1500}
    pending = platform.dispatch("executeBatchProcessing", other, platform.bodies[other], parameters=asked)
    answer = pending.answer.result(PATIENCE)
    assert "unknown" in answer["warnings"][0]
    assert answer["payload"]["data"]["executionError"]["errorCode"] == "TIMEOUT_ERROR"


def test_files_are_taken_from_the_operators_folder_only(workspace, platform, start):
    """What an entity names must not read the member's disk."""
    folder = workspace.folder / "items"
    folder.mkdir()
    (folder / "items.jsonl").write_text('{"n":1}\n{"n":2}\n')
    (workspace.folder / "secret.jsonl").write_text('{"n":1}\n')
    config = workspace.folder / "everyitem.toml"
    config.write_text('[cyoda]\nsource-folder = "items"\n')
    start("--config", config)
    for reference, fault in (("../secret.jsonl", "SOURCE_REFUSED"), ("/etc/passwd", "SOURCE_REFUSED")):
        source = {"kind": "jsonl", "reference": reference}
        refused = platform.create(entity(workspace, [], itemSource=source))
        with pytest.raises(DispatchFailed, match=fault):
            platform.execute(refused)
    source = {"kind": "jsonl", "reference": "items.jsonl"}
    accepted = platform.create(entity(workspace, [], batch_id="c", itemSource=source))
    assert platform.execute(accepted) == "completed"
    assert platform.body(accepted)["executionResults"]["itemsSuccessful"] == 2


def test_what_the_member_does_not_calculate_is_refused(platform, start):
    """Never silence: the caller would wait for hours."""
    start()
    for kind in ("Processor", "Criteria", "Function"):
        answer = platform.dispatch("other", "e", "{}", kind=kind).answer.result(PATIENCE)
        assert (answer["success"], answer["error"]["retryable"]) == (False, False)


def test_an_entity_too_large_to_come_back_is_refused_before_anything_runs(workspace, platform, start):
    """An answer of more than 4 MiB would end the stream for everybody."""
    _, stream = start()
    entity_id = platform.create(entity(workspace, [{"n": 1}], ballast="x" * 3_900_000))
    with pytest.raises(DispatchFailed, match=r"ENTITY_TOO_LARGE.*itemSource"):
        platform.execute(entity_id)
    assert workspace.calls() == []
    assert stream in platform.streams


def test_a_plan_too_large_to_come_back_is_refused(workspace, platform, start):
    """What initializing adds counts, too."""
    _, stream = start()
    body = entity(workspace, [{}] * 20_000, ballast="x" * 3_200_000, executionPlan={"partitionCount": 20_000})
    with pytest.raises(DispatchFailed, match="ENTITY_TOO_LARGE"):
        platform.initialize(platform.create(body))
    assert stream in platform.streams


def test_a_batch_may_use_processes(workspace, platform, start):
    """The member has threads of its own; worker processes start all the same."""
    start()
    resources = {"nodes": [{"nodeId": "p", "kind": "process", "slots": 2}]}
    entity_id = platform.create(entity(workspace, [{"n": k} for k in range(50)]) | {
        "allocatedResources": resources
    })  # fmt: skip
    assert platform.execute(entity_id) == "completed"


def test_requests_before_the_greeting_are_carried_out(workspace, platform, start):
    """The platform registers a member before it greets it."""
    body = json.dumps(entity(workspace, [{"n": 1}]))
    early = []
    platform.before_greeting = lambda stream: early.append(
        platform.dispatch("executeBatchProcessing", "early", body, stream=stream)
    )
    start()
    assert early[0].answer.result(PATIENCE)["payload"]["data"]["executionStatus"] == "COMPLETED"


def test_binary_data_is_read_like_text(workspace, platform, start):
    """Either may come."""
    _, stream = start()
    pending = stream.pending["r"] = Pending("r")
    stream.outgoing.put(
        CloudEvent(
            id="1",
            type="EntityProcessorCalculationRequest",
            binary_data=json.dumps({"requestId": "r", "entityId": "e", "processorName": "other"}).encode(),
        )
    )
    assert pending.answer.result(PATIENCE)["success"] is False


def test_without_an_endpoint_the_member_says_what_is_missing(workspace):
    """Wrong usage, exit code 2, nothing on standard output."""
    done = workspace.do("member", "--plaintext")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cyoda.endpoints" in done.stderr


def test_the_store_of_the_member_is_an_ordinary_one(workspace, platform, start):
    """verify proves it, and failures lists what failed."""
    start()
    entity_id = platform.create(entity(workspace, [{"n": 1}, {"fail": "no"}]))
    platform.execute(entity_id)
    assert workspace.json("verify", "b", "--json")["sound"]
    with sqlite3.connect(workspace.folder / "store.db") as database:
        assert database.execute("SELECT batch_id FROM executions").fetchall() == [
            (f"b#{TENANT}/{entity_id}",)
        ]
    database.close()
