"""Events that come in are read strictly, and refused with the place and the reason."""

import json

import pytest

from everyitem.faces.documents.incoming import BatchBrought, EventRefused, read_event, split_events
from everyitem.model.allocation import AllocatedNode, Allocation


def text(*, envelope=None, **data):
    """An event's text; `...` leaves a member out."""
    said = {"batchId": "b", "itemId": "i", "attempt": 1, "status": "SUCCEEDED", **data}
    outer = {"specversion": "1.0", "id": "1", "source": "/s", "type": "ItemProcessingCompleted"}
    outer |= {"data": {key: value for key, value in said.items() if value is not ...}, **(envelope or {})}
    return json.dumps({key: value for key, value in outer.items() if value is not ...}).encode()


def test_a_result_keeps_its_digits_on_one_line():
    """It is stored as it came, white space aside."""
    raw = text(result=0).replace(b'"result": 0', b'"result": {\n"v": 1.50}')
    event, completed = read_event(raw)
    assert (event.source, event.event_id, event.batch_id) == ("/s", "1", "b")
    assert (completed.item_id, completed.attempt, completed.result) == ("i", 1, b'{"v":1.50}')


def test_a_failure_is_final_unless_it_says_that_it_may_be_tried_again():
    """Code and type have defaults; the message has none."""
    _, completed = read_event(text(status="FAILED", error={"message": "no"}))
    assert completed.failure is not None
    assert (completed.failure.code, completed.failure.retryable) == ("ITEM_ERROR", False)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "truncated"),
        (b"\xff", "no event that is understood"),
        (text(envelope={"specversion": "0.3"}), "specversion"),
        (text(envelope={"id": ""}), r"\$\.id"),
        (text(envelope={"source": ...}), "`source`"),
        (text(envelope={"type": "Nope"}), r"\$\.type: .*'Nope' are not taken"),
        (text(envelope={"data": ...}), "no event that is understood"),
        (text(attempt=0), "attempt"),
        (text(attempt=2**40), "attempt"),
        (text(attempt=...), "`attempt`"),
        (text(status="MAYBE"), "status"),
        (text(itemId=7), "itemId"),
        (text(error={"message": "no"}), "an item that succeeded has no error"),
        (text(status="FAILED", result=1), "an item that failed has no result"),
        (text(status="FAILED"), "needs its error"),
        (text(status="FAILED", error={"code": "EXECUTION_ERROR", "message": "m"}), "is no code of items"),
        (text(result="\ud800"), "no event that is understood"),
        (text(result=1).replace(b'"result": 1', b'"result": {"a": 1, "a": 2}'), "occurs twice"),
        (text(result=1).replace(b'"result": 1', b'"result": 1e999'), "range of a double"),
    ],
)
def test_what_says_nothing_that_could_be_done_is_refused(raw, reason):
    """With the reason, and without an effect."""
    with pytest.raises(EventRefused, match=reason):
        read_event(raw)


@pytest.mark.parametrize(
    ("raw", "count"),
    [(b"", 0), (b'{"a": 1}', 1), (b'{\n"a":\n1}', 1), (b'[{"a": 1},\n{}]', 2), (b'{}\n\n{"a": 1}\n', 2)],
)
def test_a_file_holds_one_event_an_array_or_one_on_each_line(raw, count):
    """Whatever the sender finds easiest."""
    assert len(list(split_events(raw))) == count


def allocated(**resources):
    """An event that allocates these resources."""
    data = {"batchId": "b", "version": 2, "allocatedResources": resources}
    outer = {"specversion": "1.0", "id": "1", "source": "/s", "type": "ResourcesAllocated", "data": data}
    return json.dumps(outer).encode()


@pytest.mark.parametrize(
    ("resources", "nodes", "least"),
    [
        ({"nodes": [{"slots": 2}, {"nodeId": "x"}]}, [("node-1", 2, None), ("x", 1, None)], None),
        ({"allocatedNodes": 2, "minParallelism": 2}, [("node-1", 1, "process"), ("node-2", 1, "process")], 2),
        ({"maxParallelism": 7}, [("local", 7, None)], None),
    ],
)
def test_resources_are_allocated_in_the_words_of_documents(resources, nodes, least):
    """Nodes, or a number of them, or how many items at once."""
    event, given = read_event(allocated(**resources))
    assert event.batch_id == "b"
    named = tuple(AllocatedNode(node_id=name, slots=slots, kind=kind) for name, slots, kind in nodes)
    assert given.allocation == Allocation(version=2, nodes=named, least=least)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (allocated(), "nothing runs on nothing"),
        (allocated(nodes=[{"slots": 0}]), r"\$\.data\.allocatedResources\.nodes\[0\]\.slots: "),
        (allocated(nodes=[{"nodeId": "a"}, {"nodeId": "a"}]), "'a' is the id of an earlier node"),
        (allocated(nodes=[{"kind": "dask"}]), "needs the scheduler's address"),
        (allocated(maxParallelism=1).replace(b'"version": 2', b'"version": 0'), r"\$\.data\.version"),
    ],
)
def test_resources_that_cannot_be_used_are_refused(raw, reason):
    """With the place and the reason."""
    with pytest.raises(EventRefused, match=reason):
        read_event(raw)


def test_a_batch_comes_along_or_from_where_it_is():
    """With every digit as it was written."""
    here = b'{"specversion":"1.0","id":"1","source":"/s","type":"BatchInitialized","data":{"a": 1.50}}'
    assert read_event(here) == BatchBrought(source="/s", event_id="1", document=b'{"a": 1.50}')
    there = here.replace(b'"data":{"a": 1.50}', b'"dataref":"https://x/1"')
    assert read_event(there) == BatchBrought(source="/s", event_id="1", reference="https://x/1")
    for neither in (here.replace(b'{"a": 1.50}', b"[]"), here[:-1] + b',"dataref":"https://x/1"}'):
        with pytest.raises(EventRefused, match=r"\$\.data"):
            read_event(neither)
