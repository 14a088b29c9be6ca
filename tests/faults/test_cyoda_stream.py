"""F20: the stream to the platform breaks, repeats, lags and lies; every entity is executed once."""

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.acceptance.conftest import Workspace
from tests.faults.rigs.cyoda_platform import PATIENCE, DispatchFailed, Platform
from tests.faults.rigs.pace import in_time

from everyitem.faces.cyoda.protocol.cloudevents_pb2 import CloudEvent

#: Seconds within which a probe is promised to be acknowledged.
PROMISE = 1.0

PROCESSORS = '''
import os, time
from everyitem import item_processor


@item_processor("witnessed")
def witnessed(item, context):
    """Notes its call, then waits for the gate."""
    ledger = os.open(context.parameters["ledger"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{context.idempotency_key}\\\\n".encode())
    os.close(ledger)
    gate = context.parameters.get("gate")
    while gate and not os.path.exists(gate) and not context.cancelled:
        time.sleep(0.005)
    return item


@item_processor("greedy")
def greedy(item, context):
    """Holds the global lock: one call into C code for seconds, however quick the machine is."""
    power, took = 2_000_000, 0.0
    while took < 1.5:
        began = time.monotonic()
        (7**power).bit_length()
        took = time.monotonic() - began
        power *= 2
    return power
'''.replace("\\\\n", "\\n")


@pytest.fixture
def platform():
    """A platform that probes ten times a second."""
    made = Platform(probe_every=0.1).start()
    yield made
    made.stop()


@pytest.fixture
def workspace(tmp_path, root):
    """A folder with a store, a gate, and a member to start and kill."""
    made = Workspace(tmp_path, root / "src")
    made.processors.write_text(PROCESSORS)
    yield made
    made.open_gate()
    for running in made.started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate(timeout=PATIENCE)


def start(workspace, platform, *arguments):
    running = workspace.start(
        "member", "--endpoint", platform.address, "--plaintext", *arguments,
        "--processors", workspace.processors,
    )  # fmt: skip
    return running, platform.joined.get(timeout=PATIENCE)


def entity(workspace, count, *, gate=False, processor="witnessed", **top):
    parameters = {"gate": str(workspace.gate)} if gate else {}
    path = workspace.document(
        [{"n": k} for k in range(count)], processor=processor, parameters=parameters, **top
    )
    return json.loads(path.read_text())


def begun(workspace):
    """Wait until an item is in flight."""
    workspace.status_when(lambda status: status["inFlight"] > 0)


def answers_of(platform):
    """How often each request was answered, over all streams."""
    counts = Counter()
    for stream in platform.history:
        for request_id, answers in stream.answers.items():
            counts[request_id] += len(answers)
    return counts


def test_a_stream_cut_before_the_greeting_is_opened_again(workspace, platform):
    """The step between registration and greeting."""
    cut = []

    def cut_first(stream):
        if not cut:
            cut.append(stream)
            stream.cut()

    platform.before_greeting = cut_first
    start(workspace, platform)
    second = platform.joined.get(timeout=PATIENCE)
    assert second is not cut[0]
    entity_id = platform.create(entity(workspace, 3))
    assert platform.execute(entity_id, stream=second) == "completed"


@pytest.mark.parametrize("cuts", [3, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_cuts_in_the_middle_of_a_batch_cost_answers_and_nothing_else(workspace, platform, cuts):
    """Every cut is followed by a dispatch; one execution, and one answer to the request that lived."""
    config = workspace.folder / "everyitem.toml"
    config.write_text("[cyoda]\nreconnect-seconds = 0.2\n")
    start(workspace, platform, "--config", config)
    entity_id = platform.create(entity(workspace, 20, gate=True))
    lost = []
    for _ in range(cuts):
        stream = platform.streams[-1]
        running = platform.executing(entity_id)
        if not lost:
            begun(workspace)
        while not stream.pending:
            time.sleep(0.002)
        stream.cut()
        lost.append(running)
        platform.joined.get(timeout=PATIENCE)
    last = platform.executing(entity_id)
    stream = platform.history[-1]
    workspace.status_when(lambda _: len(stream.pending) == 1)
    workspace.open_gate()
    assert last.result(PATIENCE) == "completed"
    for one in lost:
        with pytest.raises(DispatchFailed, match="DISCONNECTED"):
            one.result(PATIENCE)
    assert list(answers_of(platform).values()) == [1]
    assert set(Counter(workspace.calls()).values()) == {1}
    assert platform.body(entity_id)["executionMetadata"]["runs"] == 1


def test_a_hundred_dispatches_of_one_entity_are_one_execution(workspace, platform):
    """A scheduler that fires again and again; every request has exactly one answer, the same for all."""
    _, stream = start(workspace, platform)
    body = json.dumps(entity(workspace, 5, gate=True))
    asked = [platform.dispatch("executeBatchProcessing", "e", body) for _ in range(100)]
    begun(workspace)
    workspace.open_gate()
    answers = [one.answer.result(PATIENCE) for one in asked]
    assert len({answer["payload"]["data"]["executionMetadata"]["resultReference"] for answer in answers}) == 1
    assert set(answers_of(platform).values()) == {1}
    assert stream in platform.streams
    assert set(Counter(workspace.calls()).values()) == {1}


def test_probes_are_acknowledged_while_an_item_holds_the_global_lock(workspace, platform):
    """Items that compute in C for seconds, on threads of the member itself; all cores busy."""
    _, stream = start(workspace, platform)
    entity_id = platform.create(entity(workspace, 2, processor="greedy"))
    assert platform.execute(entity_id) == "completed"
    longest = platform.body(entity_id)["executionMetadata"]["itemProcessingTime"]["max"]
    assert longest > 1000 * PROMISE, "the item must hold the lock for longer than what is promised"
    assert len(stream.reactions) > 10
    assert in_time(stream.slowest, 3 * PROMISE)


def test_a_killed_member_is_replaced_and_the_batch_goes_on(workspace, platform):
    """kill -9 in the middle; what was recorded is not executed again."""
    running, _ = start(workspace, platform)
    body = entity(workspace, 40, gate=True, parallelismLevel=1, checkpointInterval=1)
    entity_id = platform.create(body)
    first = platform.executing(entity_id)
    begun(workspace)
    os.kill(running.process.pid, signal.SIGKILL)
    with pytest.raises(DispatchFailed, match="DISCONNECTED"):
        first.result(PATIENCE)
    workspace.open_gate()
    start(workspace, platform)
    assert platform.execute(entity_id) == "completed"
    metadata = platform.body(entity_id)["executionMetadata"]
    assert metadata["runs"] == 2
    assert max(Counter(workspace.calls()).values()) <= 2


def test_a_killed_platform_finds_the_member_again(workspace, platform):
    """The batch goes on without it; the caller's second try gets the answer."""
    start(workspace, platform)
    entity_id = platform.create(entity(workspace, 5, gate=True))
    first = platform.executing(entity_id)
    begun(workspace)
    platform.stop()
    with pytest.raises(DispatchFailed, match="DISCONNECTED"):
        first.result(PATIENCE)
    workspace.open_gate()
    workspace.status_when(lambda status: status["state"] == "COMPLETED")
    platform.start()
    platform.joined.get(timeout=PATIENCE)
    assert platform.execute(entity_id) == "completed"
    assert set(Counter(workspace.calls()).values()) == {1}


def test_a_killed_stream_process_is_started_again(workspace, platform):
    """Its death is a lost stream like any other."""
    running, _ = start(workspace, platform)
    (child,) = _children(running.process.pid)
    os.kill(child, signal.SIGKILL)
    platform.joined.get(timeout=PATIENCE)
    assert platform.execute(platform.create(entity(workspace, 3))) == "completed"


def test_the_stream_process_ends_with_its_member(workspace, platform):
    """Nobody is left behind to answer probes for a member that is not there."""
    running, stream = start(workspace, platform)
    os.kill(running.process.pid, signal.SIGKILL)
    assert stream.gone.wait(PATIENCE)
    assert platform.streams == []


def test_garbage_is_passed_over(workspace, platform):
    """Unknown types, broken JSON, no data, bytes that are no UTF-8: the stream lives on."""
    _, stream = start(workspace, platform)
    for event in (
        CloudEvent(type="EntityProcessorCalculationRequest", text_data="{"),
        CloudEvent(type="EntityProcessorCalculationRequest", binary_data=b"\xff\xfe"),
        CloudEvent(type="EntityProcessorCalculationRequest"),
        CloudEvent(type="CalculationMemberKeepAliveEvent", text_data="[]"),
        CloudEvent(type="CalculationMemberGreetEvent", text_data="5"),
        CloudEvent(type="SomethingNew", text_data="{}"),
        CloudEvent(),
    ):
        stream.outgoing.put(event)
    assert platform.execute(platform.create(entity(workspace, 3))) == "completed"
    assert platform.streams == [stream]


def test_a_platform_that_reads_slowly_gets_every_answer(workspace, platform):
    """Answers queue behind the one writer; probes included, none is lost."""
    platform._read_slowly = 0.05
    start(workspace, platform)
    bodies = [json.dumps(entity(workspace, 1, batch_id=f"b{k}", ballast="x" * 200_000)) for k in range(10)]
    asked = [platform.dispatch("executeBatchProcessing", f"e{k}", body) for k, body in enumerate(bodies)]
    assert all(one.answer.result(PATIENCE)["success"] for one in asked)


def test_a_silent_platform_is_left_and_joined_anew(workspace, platform):
    """A dead connection looks like silence; it is not waited for longer than promised."""
    platform._probe_every = 3600
    config = workspace.folder / "everyitem.toml"
    config.write_text("[cyoda]\nsilence-seconds = 1\n")
    running, first = start(workspace, platform, "--config", config)
    assert platform.joined.get(timeout=PATIENCE) is not first
    assert "has said nothing for 1 s" in running.read_error_until("said nothing")


def _children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
