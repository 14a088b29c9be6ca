"""`everyitem member` with entities as items: results and progress go back to the platform, each once."""

import itertools
import json
import signal
import threading
from collections import Counter

import pytest
from tests.faults.rigs.cyoda_delivery import (
    EVENTS,
    RESULTS,
    TO_ENTITIES,
    TO_TRANSITIONS,
    entity,
    of_positions,
    platform,
    rest,
    start,
)
from tests.faults.rigs.cyoda_platform import PATIENCE, TENANT, DispatchFailed
from tests.faults.rigs.cyoda_rest import Refused, Stored

__all__ = ["platform", "rest", "start"]


def delivered(platform, entity_id):
    return platform.body(entity_id)["executionMetadata"]["resultsDelivered"]


def keys_of(rest):
    return Counter(one["resultKey"] for one in rest.of(RESULTS))


class Gate:
    """Holds the first call of a kind back, after some others, until it is opened."""

    def __init__(self, rest, method, after):
        self.reached, self._open = threading.Event(), threading.Event()
        self._method, self._after, self._calls = method, after, itertools.count()
        rest.before = self._wait

    def _wait(self, method, _path):
        if method == self._method and next(self._calls) >= self._after and not self._open.is_set():
            self.reached.set()
            self._open.wait(PATIENCE)

    def open(self):
        self._open.set()


def test_results_become_entities_and_the_batch_says_so(workspace, platform, rest, start):
    """Every outcome is counted; the store has them all the same."""
    start(TO_ENTITIES)
    entity_id = platform.create(entity(workspace, [{"n": k} for k in range(250)] + [{"fail": "no"}]))
    assert platform.execute(entity_id) == "completed_with_errors"
    assert delivered(platform, entity_id) == {
        "written": 251, "writtenBefore": 0, "leftAlone": 0, "refused": 0, "refusals": [],
    }  # fmt: skip
    identity = f"b#{TENANT}/{entity_id}"
    assert keys_of(rest) == {f"{identity}@1.1/{index}": 1 for index in range(251)}
    assert {one["batchEntityId"] for one in rest.of(RESULTS)} == {entity_id}
    assert len(workspace.lines("results", "b")) == 251


@pytest.mark.long
def test_without_results_set_up_nothing_is_written(workspace, platform, rest, start):
    """They are kept in the store, and the entity says under which name."""
    start()
    entity_id = platform.create(entity(workspace, [{"n": 1}]))
    assert platform.execute(entity_id) == "completed"
    metadata = platform.body(entity_id)["executionMetadata"]
    assert "resultsDelivered" not in metadata
    assert metadata["resultReference"] == f"b#{TENANT}/{entity_id}@1.1.1"
    assert rest.calls == []


def test_a_member_killed_while_it_delivers_is_followed_by_one_that_writes_the_rest(
    workspace, platform, rest, start
):
    """No result twice, and no item called twice."""
    running = start(TO_ENTITIES)
    entity_id = platform.create(entity(workspace, [{"n": k} for k in range(350)]))
    gate = Gate(rest, "POST", after=2)
    first = platform.executing(entity_id)
    assert gate.reached.wait(PATIENCE)
    running.process.kill()
    with pytest.raises(DispatchFailed, match="DISCONNECTED"):
        first.result(PATIENCE)
    gate.open()
    start(TO_ENTITIES)
    assert platform.execute(entity_id) == "completed"
    told = delivered(platform, entity_id)
    assert (told["written"] + told["writtenBefore"], told["refused"]) == (350, 0)
    assert told["writtenBefore"] >= 200
    assert set(keys_of(rest).values()) == {1}
    assert len(keys_of(rest)) == 350
    assert set(Counter(workspace.calls()).values()) == {1}


@pytest.mark.long
def test_a_member_that_is_stopped_while_it_delivers_says_ask_again(workspace, platform, rest, start):
    """And is gone at once, not when everything is written."""
    running = start(TO_ENTITIES)
    entity_id = platform.create(entity(workspace, [{"n": k} for k in range(350)]))
    gate = Gate(rest, "POST", after=1)
    first = platform.executing(entity_id)
    assert gate.reached.wait(PATIENCE)
    running.send(signal.SIGTERM)
    running.read_error_until("SIGTERM")
    gate.open()
    with pytest.raises(DispatchFailed, match="MEMBER_STOPPING"):
        first.result(PATIENCE)
    assert running.end().returncode == 143
    assert len(rest.of(RESULTS)) < 350
    start(TO_ENTITIES)
    assert platform.execute(entity_id) == "completed"
    assert len(keys_of(rest)) == 350


@pytest.mark.long
def test_redriven_items_have_a_result_of_their_round(workspace, platform, rest, start):
    """What succeeded before is not written again."""
    start(TO_ENTITIES)
    entity_id = platform.create(entity(workspace, [{"n": 1}, {"fail": "no"}, {"n": 3}]))
    platform.execute(entity_id)
    platform.execute(entity_id)
    told = delivered(platform, entity_id)
    assert (told["written"], told["writtenBefore"]) == (1, 2)
    identity = f"b#{TENANT}/{entity_id}"
    assert keys_of(rest) == {f"{identity}@1.{key}": 1 for key in ("1/0", "1/1", "1/2", "2/1")}


def test_items_move_once_although_they_are_no_longer_found_then(workspace, platform, rest, start):
    """What the batch does to its items must not make it another batch when it is dispatched again."""
    start(TO_TRANSITIONS)
    items = [rest.create("Position/1", {"n": number}, "open") for number in range(20)]
    entity_id = platform.create(of_positions(workspace))
    platform.lose_answers = 1
    with pytest.raises(DispatchFailed, match="DISCONNECTED"):
        platform.execute(entity_id)
    assert {rest.entities[one].state for one in items} == {"done"}
    platform.joined.get(timeout=PATIENCE)
    assert platform.execute(entity_id) == "completed"
    told = delivered(platform, entity_id)
    assert (told["written"], told["writtenBefore"]) == (0, 20)
    assert len(workspace.calls()) == 20
    patched = Counter(path for method, path in rest.calls if method == "PATCH")
    assert set(patched.values()) == {1}


def test_a_batch_among_its_own_items_leaves_its_entity_alone(workspace, platform, rest, start):
    """Writing it would make the platform discard the result."""
    start(TO_TRANSITIONS)
    rest.create("Position/1", {}, "open")
    entity_id = platform.create(of_positions(workspace))
    rest.entities[entity_id] = Stored("Position/1", {}, "open")
    assert platform.execute(entity_id) == "completed"
    assert (delivered(platform, entity_id)["written"], delivered(platform, entity_id)["leftAlone"]) == (1, 1)
    assert rest.entities[entity_id].state == "open"


@pytest.mark.long
def test_results_nobody_wants_make_a_batch_end_with_errors_and_go_out_when_it_is_executed_again(
    workspace, platform, rest, start
):
    """The items have succeeded, and are not called again for it."""
    start(TO_ENTITIES)

    def refuse(method, path):
        if method == "POST" and path.startswith("/entity"):
            raise Refused(400, "VALIDATION_FAILED")

    rest.before = refuse
    entity_id = platform.create(entity(workspace, [{"n": 1}, {"n": 2}]))
    assert platform.execute(entity_id) == "completed_with_errors"
    assert delivered(platform, entity_id)["refused"] == 2
    assert "VALIDATION_FAILED" in delivered(platform, entity_id)["refusals"][0]
    rest.before = lambda *_: None
    assert platform.execute(entity_id) == "completed"
    assert delivered(platform, entity_id)["written"] == 2
    assert len(workspace.calls()) == 2


def test_what_could_not_be_delivered_is_refused_before_anything_runs(workspace, platform, rest, start):
    """With what to do, and whether asking again may help."""
    start(TO_TRANSITIONS)
    with pytest.raises(DispatchFailed, match=r"RESULTS_UNFIT.*cyoda-search"):
        platform.execute(platform.create(entity(workspace, [{"n": 1}])))
    start(TO_ENTITIES)
    del rest.models[RESULTS]
    with pytest.raises(DispatchFailed, match=r"RESULTS_UNFIT.*cyoda install"):
        platform.execute(platform.create(entity(workspace, [{"n": 1}])))
    rest.stop()
    with pytest.raises(DispatchFailed, match="RESULTS_AWAY"):
        platform.execute(platform.create(entity(workspace, [{"n": 1}])))
    assert workspace.calls() == []


@pytest.mark.long
def test_entities_by_their_ids_are_items(workspace, platform, rest, start):
    """The member's own platform needs no [sources.cyoda]."""
    start(TO_TRANSITIONS)
    items = [rest.create("Position/1", {"n": number}, "open") for number in range(3)]
    source = {"kind": "cyoda-entities", "ids": items[:2]}
    entity_id = platform.create(entity(workspace, [], itemSource=source))
    assert platform.execute(entity_id) == "completed"
    assert [rest.entities[one].state for one in items] == ["done", "done", "open"]


def test_a_batch_is_watched_from_the_platform(workspace, platform, rest, start):
    """Checkpoints and the outcome are entities there, found by the batch's entity, each once and in order."""
    events = (
        f'[events]\npublisher = "cyoda"\ntopic = "{EVENTS}"\ntypes = ["CheckpointCreated", "BatchExecuted"]\n'
        "flushSeconds = 60\n"
    )
    start(more=events)
    entity_id = platform.create(entity(workspace, [{"n": k} for k in range(30)], checkpointInterval=10))
    # what is sent again is known by its key
    rest.lose_answers = 2
    assert platform.execute(entity_id) == "completed"
    told = [one for one in rest.of(EVENTS) if one["batchEntityId"] == entity_id]
    assert [one["type"] for one in told] == ["CheckpointCreated"] * 3 + ["BatchExecuted"]
    assert json.loads(told[0]["data"])["itemsSuccessful"] == 10
    assert json.loads(told[-1]["data"])["status"] == "SUCCESS"
    assert set(Counter(one["eventId"] for one in told).values()) == {1}


@pytest.mark.long
def test_a_run_of_any_kind_tells_the_platform(workspace, rest):
    """As edge messages, where the topic is a subject; no member needed."""
    config = workspace.folder / "everyitem.toml"
    config.write_text(
        f'[events]\npublisher = "cyoda"\nurl = "{rest.url}"\ntopic = "batches"\nflushSeconds = 60\n'
    )
    workspace.do("run", workspace.document([{"n": 1}]), "--config", config)
    types = [message["payload"]["type"] for message in rest.messages.values()]
    assert types[-1] == "BatchExecuted"
    assert {message["header"]["subject"] for message in rest.messages.values()} == {"batches"}


def answer_of(platform, entity_id):
    """What the member says to a request that fails."""
    pending = platform.dispatch("executeBatchProcessing", entity_id, platform.bodies[entity_id])
    return pending.answer.result(PATIENCE)["error"]


def test_a_platform_that_is_away_while_items_are_read_is_asked_again_later(workspace, platform, rest, start):
    """The batch has not failed: the answer is a failure to be repeated, and then it runs."""
    rest.create("Position/1", {"n": 1}, "open")
    start()
    entity_id = platform.create(of_positions(workspace))

    def away(_method, _path):
        raise Refused(503, "NOT_NOW", retryable=True)

    rest.before = away
    error = answer_of(platform, entity_id)
    assert (error["code"], error["retryable"]) == ("ITEMS_UNAVAILABLE", True)
    rest.before = lambda *_: None
    assert platform.execute(entity_id) == "completed"


def test_items_that_vanish_while_they_are_read_are_searched_for_again(workspace, platform, rest, start):
    """Half of what was found must not pass for all of it, and is no fault of the batch either."""
    for number in range(3):
        rest.create("Position/1", {"n": number}, "open")
    start()
    entity_id = platform.create(of_positions(workspace))

    def delete_one(_method, path):
        if path.endswith("/status") and len(rest.entities) == 3:
            rest.entities.popitem()

    rest.before = delete_one
    error = answer_of(platform, entity_id)
    assert (error["code"], error["retryable"]) == ("ITEMS_UNAVAILABLE", True)
    assert "found 3 entities, and 2 of them came" in error["message"]
    assert platform.execute(entity_id) == "completed"
    assert len(workspace.calls()) == 2
