"""Events to the Cyoda platform: entities that are there once, edge messages that are there at least once."""

import json

import pytest
from tests.faults.rigs.cyoda_rest import CyodaRest, Model, Refused

from everyitem.adapters.publishers import build_publisher
from everyitem.adapters.publishers.cyoda import cyoda_publisher
from everyitem.faces.cyoda.installing import sample
from everyitem.model.errors import UsageError
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import EventsRefused, PublisherAway
from everyitem.settings.platform import RestAccess
from everyitem.settings.publishing import read_publishing_settings

MODEL = "BatchEvent/1"


@pytest.fixture
def rest():
    """A platform with the model of events."""
    made = CyodaRest()
    made.models[MODEL] = Model(keys=("eventId",))
    yield made
    made.stop()


@pytest.fixture
def publisher(rest):
    """A publisher to a topic."""
    made = []

    def to(topic, **table):
        settings = read_publishing_settings({"publisher": "cyoda", "topic": topic, **table})
        made.append(build_publisher(settings, platform=RestAccess(url=rest.url)))
        return made[-1]

    yield to
    for one in made:
        one.close()


def event(number, kind="CheckpointCreated", **about):
    data = json.dumps({"batchId": "b#t/e", "itemsSuccessful": number}).encode()
    given = {"event_id": f"b#t/e@1/x/{number}", "type": kind, "subject": "b#t/e", "time": 0.5, "data": data}
    return OutboxEvent(**(given | {"position": number} | about))


def test_events_become_entities_of_one_transaction(rest, publisher):
    """Of the same types whatever the event: its data are a text."""
    publisher(MODEL).publish([event(1), event(2)])
    assert [one["eventId"] for one in rest.of(MODEL)] == ["b#t/e@1/x/1", "b#t/e@1/x/2"]
    assert rest.of(MODEL)[0] == {
        "eventId": "b#t/e@1/x/1",
        "type": "CheckpointCreated",
        "batch": "b#t/e",
        "batchEntityId": "e",
        "subject": "b#t/e",
        "time": "1970-01-01T00:00:00.500Z",
        "sequence": 1,
        "data": '{"batchId": "b#t/e", "itemsSuccessful": 1}',
    }
    assert len(rest.calls) == 1
    known = json.loads(sample("BatchEvent"))
    assert {name: type(one) for name, one in known.items()} == {
        name: type(one) for name, one in rest.of(MODEL)[0].items()
    }


def test_an_event_about_an_item_is_found_by_its_batch(rest, publisher):
    """Its subject is the item's."""
    publisher(MODEL).publish([event(1, "ItemFailed", subject="b#t/e/i/1")])
    assert rest.of(MODEL)[0]["batch"] == "b#t/e"


def test_a_response_is_found_by_its_batch(rest, publisher):
    """It does not name it itself; one of no entity has no entity."""
    publisher(MODEL).publish([event(1, "BatchExecuted", data=b'{"status":"SUCCESS"}', subject="b")])
    assert (rest.of(MODEL)[0]["batch"], rest.of(MODEL)[0]["batchEntityId"]) == ("b", "")


def test_an_event_that_is_there_is_not_written_again(rest, publisher):
    """An answer that was lost leaves some to be offered once more; the relay offers each by itself then."""
    to = publisher(MODEL)
    to.publish([event(1)])
    with pytest.raises(EventsRefused):
        to.publish([event(1), event(2)])
    to.publish([event(1)])
    to.publish([event(2)])
    assert [one["sequence"] for one in rest.of(MODEL)] == [1, 2]


def test_edge_messages_carry_the_event_and_its_id(rest, publisher):
    """The event as CloudEvents has it, and what it is about in the metadata."""
    publisher("everyitem.events").publish([event(1)])
    (message,) = rest.messages.values()
    assert message["payload"]["specversion"] == "1.0"
    assert message["payload"]["data"] == {"batchId": "b#t/e", "itemsSuccessful": 1}
    about = {"type": "CheckpointCreated", "batch": "b#t/e", "eventId": "b#t/e@1/x/1", "sequence": 1}
    assert message["metaData"] == about
    header = message["header"]
    assert (header["subject"], header["x-message-id"]) == ("everyitem.events", "b%23t/e@1/x/1")
    assert header["x-correlation-id"] == "b%23t/e"


@pytest.mark.parametrize("topic", [MODEL, "everyitem.events"])
@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [
        (503, "SERVER_BUSY", PublisherAway),
        (401, "UNAUTHORIZED", PublisherAway),
        (404, "MODEL_NOT_FOUND", PublisherAway),
        (409, "MODEL_NOT_LOCKED", PublisherAway),
        (413, "BAD_REQUEST", EventsRefused),
        (400, "VALIDATION_FAILED", EventsRefused),
    ],
)
def test_away_and_refused_are_two_things(rest, publisher, topic, status, code, raised):
    """What the operator mends says nothing about an event; what is wrong with it does."""

    def refuse(*_):
        raise Refused(status, code)

    rest.before = refuse
    with pytest.raises(raised, match=code):
        publisher(topic).publish([event(1)])


def test_only_chosen_types_are_sent(rest, publisher):
    """The others count as sent: nobody wants them."""
    to = publisher(MODEL, types=["BatchExecuted"])
    to.publish([event(1), event(2, "BatchExecuted"), event(3)])
    to.publish([event(4)])
    assert [one["sequence"] for one in rest.of(MODEL)] == [2]


def test_what_cannot_be_used_is_named():
    """A topic that is neither, and no url anywhere."""
    with pytest.raises(UsageError, match="BatchEvent/1"):
        cyoda_publisher("http://127.0.0.1:9/api", credentials=None, topic="no model", timeout=1.0)
    settings = read_publishing_settings({"publisher": "cyoda"})
    with pytest.raises(UsageError, match=r"\[cyoda\]"):
        build_publisher(settings, platform=RestAccess())
