"""Who executes, who waits, and what the figures say, with the real store and real threads."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

import everyitem
from everyitem import compose, item_processor
from everyitem.compose.executions import started_items
from everyitem.faces.api.options import RunOptions
from everyitem.faces.api.reading import rebuild
from everyitem.model.status import ExecutionStatus
from everyitem.settings import load_settings
from everyitem.work.processors import find_processor

GATE = threading.Event()
FAILING = set[int]()


#: When (monotonic seconds) a slow teardown began.
ENDS: list[float] = []


def end_slowly() -> None:
    """A teardown that takes its time."""
    ENDS.append(time.monotonic())
    GATE.wait(1.0)


@item_processor("submission-gate")
def at_the_gate(item: Any, context: Any) -> Any:
    """Waits until somebody opens the gate."""
    GATE.wait(30)
    return item


@item_processor("submission-slow-end", teardown=end_slowly)
def slow_end(item: Any, context: Any) -> Any:
    """Nothing, but with a slow teardown."""
    return item


@item_processor("submission-slow")
def slow(item: Any, context: Any) -> Any:
    """Takes twenty milliseconds."""
    GATE.wait(0.02)
    return item


@item_processor("submission-flaky")
def fails_as_told(item: Any, context: Any) -> Any:
    """Fails at first, and for good where told to."""
    if context.attempt == 1 or context.index in FAILING:
        raise ValueError("not yet")
    return item


@pytest.fixture(autouse=True)
def closed_gate() -> Iterator[None]:
    """Every test begins with the gate closed and nothing failing."""
    GATE.clear()
    FAILING.clear()
    yield
    GATE.set()


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store of its own."""
    return f"sqlite:///{tmp_path_factory.mktemp('submission') / 'store.sqlite'}"


def document(processor: str, **configuration: Any) -> dict[str, Any]:
    """Three items on two threads."""
    return {
        "batchId": "b",
        "batchItems": [1, 2, 3],
        "processingConfiguration": {"processor": processor, **configuration},
        "allocatedResources": {"nodes": [{"nodeId": "n", "kind": "thread", "slots": 2}]},
        "executionPlan": {},
    }


def in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run something beside the test; its result comes into the list."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def until(condition: Callable[[], bool]) -> None:
    """Wait for something another thread does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        threading.Event().wait(0.02)


@pytest.mark.parametrize(("later", "is_suspected"), [(0, True), (1, False)])
def test_a_new_round_charges_nobody_with_the_deaths_of_the_one_before(
    url: str, later: int, is_suspected: bool
) -> None:
    """A run of the same round suspects what was in flight; one of the next round calls it again."""
    everyitem.run(document("submission-slow"), store=url)
    store = compose.open_store(url)
    record = store.find("b")
    assert record is not None
    items = store.items(record.execution_key)
    batch = rebuild(record, items, settings=load_settings(), options=RunOptions()).batch
    processor = find_processor("submission-slow")
    dead = started_items(store, record, batch, processor)
    dead.begin(1, lambda _: True)
    section = dead.section(1)
    assert section is not None
    section.begin("worker", [0])
    # what the kernel does for a process that is gone
    assert dead._memory is not None
    dead._memory.close()
    dead._close()
    after = msgspec.structs.replace(record, round=record.round + later)
    heir = started_items(store, after, batch, processor)
    assert bool(heir.begin(2, lambda _: True).suspects) == is_suspected
    heir.end()
    store.close()


def test_a_claim_that_comes_after_the_end_carries_nothing_out(url: str) -> None:
    """Between the last look and the claim the owner may end: then its response is the answer."""
    running, answers = in_background(lambda: everyitem.run(document("submission-gate"), store=url))
    store = compose.open_store(url)
    until(lambda: (record := store.find("b")) is not None and record.owned)
    stale = store.find("b")
    assert stale is not None
    GATE.set()
    running.join()
    batch = rebuild(stale, store.items(stale.execution_key), settings=load_settings(), options=RunOptions())
    conclusion = compose.resume(store, stale, batch.batch)
    events = [event.type for event in store.events(stale.execution_key)]
    store.close()
    assert not conclusion.fresh
    assert conclusion.record.runs == stale.runs
    assert conclusion.response is not None
    assert conclusion.response.to_dict() == answers[0].to_dict()
    assert [events.count(kind) for kind in ("BatchStarted", "BatchExecuted")] == [1, 1]


def test_what_is_asked_of_an_attached_caller_goes_to_the_owner(url: str) -> None:
    """Cancelling the one who waits cancels the execution, and both get the same answer."""
    batch = {**document("submission-slow"), "batchItems": list(range(10_000))}
    running, answers = in_background(lambda: everyitem.run(batch, store=url))
    store = compose.open_store(url)
    until(lambda: (record := store.find("b")) is not None and record.status is ExecutionStatus.RUNNING)
    store.close()
    switch = everyitem.Switch()
    switch.cancel()
    waiting, others = in_background(lambda: everyitem.run(batch, store=url, switch=switch))
    running.join()
    waiting.join()
    assert answers[0].to_dict() == others[0].to_dict()
    assert answers[0].to_dict()["errorCode"] == "EXECUTION_ERROR"


def test_the_duration_ends_with_the_last_outcome(url: str) -> None:
    """A slow teardown is no item time."""
    ENDS.clear()
    began = time.monotonic()
    metadata = everyitem.run(document("submission-slow-end"), store=url).to_dict()
    # milliseconds, rounded
    until_teardown = (ENDS[0] - began) * 1000
    assert metadata["result"]["executionMetadata"]["executionDuration"] <= until_teardown + 1


def test_items_retried_are_those_of_the_round(url: str) -> None:
    """A redrive replaces the counts: who was retried in the first round is not counted again."""
    FAILING.add(0)
    batch = document("submission-flaky", retry={"initialDelayMs": 0}, maxRetryAttempts=1)
    first = everyitem.run(batch, store=url).to_dict()["result"]
    assert first["executionResults"]["itemsFailed"] == 1
    assert first["executionMetadata"]["itemsRetried"] == 3
    FAILING.clear()
    with everyitem.open(url) as session:
        second = session.redrive("b").to_dict()["result"]
    assert second["executionResults"]["itemsFailed"] == 0
    assert second["executionMetadata"]["itemsRetried"] == 1


def test_a_redrive_that_died_before_its_round_ran_is_gone_on_with(url: str) -> None:
    """Given again it finds nothing that has failed: it carries out the round that is open, and no other."""
    FAILING.add(0)
    batch = document("submission-flaky", retry={"initialDelayMs": 0}, maxRetryAttempts=1)
    everyitem.run(batch, store=url)
    store = compose.open_store(url)
    record = store.find("b")
    assert record is not None
    ownership = store.claim(record.execution_key)
    assert ownership is not None
    store.open_round(ownership, [0], {})
    ownership.release()
    FAILING.clear()
    with everyitem.open(url) as session:
        assert session.redrive("b").to_dict()["result"]["executionResults"]["itemsFailed"] == 0
        assert session.status("b").round == 2
    store.close()
