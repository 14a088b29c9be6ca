"""What a member says on one stream."""

import json

import pytest

from everyitem.faces.cyoda.conversation import Complain, Conversation, Deliver, Joined, Part, Say

GREETING = json.dumps({"memberId": "m", "joinedLegalEntityId": "t", "success": True}).encode()
REQUEST = json.dumps({"requestId": "r", "entityId": "e", "processorName": "p"}).encode()
PROCESSOR = "EntityProcessorCalculationRequest"


@pytest.fixture
def conversation():
    return Conversation(tag="batch-execution", processors=("p",))


def hear(conversation, event_type, text, now=0.0):
    return conversation.hear(event_type, text, now=now)


def greet(conversation):
    return hear(conversation, "CalculationMemberGreetEvent", GREETING)


def test_the_first_word_is_a_join_with_an_id_and_the_tag(conversation):
    """Without an id the platform refuses it."""
    (say,) = conversation.begin()
    said = json.loads(say.message.text)
    assert say.message.type == "CalculationMemberJoinEvent"
    assert said["id"]
    assert said["tags"] == ["batch-execution"]


def test_a_request_before_the_greeting_waits_for_it(conversation):
    """The greeting names the tenant, which is part of the entity's identity."""
    assert hear(conversation, PROCESSOR, REQUEST) == []
    joined, delivered = greet(conversation)
    assert joined == Joined("m", "t")
    assert isinstance(delivered, Deliver)
    assert (delivered.request.request_id, delivered.request.tenant) == ("r", "t")


def test_a_refused_join_parts(conversation):
    """A greeting may say no."""
    (part,) = hear(conversation, "CalculationMemberGreetEvent", b'{"success":false,"error":"full"}')
    assert isinstance(part, Part)
    assert "full" in part.reason


def test_probes_are_acknowledged_before_the_greeting_too(conversation):
    """Whenever they come."""
    (say,) = hear(conversation, "CalculationMemberKeepAliveEvent", b'{"id":"m"}')
    assert say.message.type == "EventAckResponse"


def test_acknowledgements_and_unknown_events_need_nothing(conversation):
    """Two parties that acknowledged acknowledgements would never stop."""
    assert hear(conversation, "EventAckResponse", b'{"id":"x"}') == []
    assert hear(conversation, "SomethingNew", b"\xff") == []


@pytest.mark.parametrize("kind", ["Processor", "Criteria", "Function"])
def test_what_is_not_ours_is_refused_at_once(conversation, kind):
    """Routing is by tag only, so anything may come."""
    text = json.dumps({"requestId": "r", "entityId": "e", f"{kind.lower()}Name": "other"}).encode()
    (say,) = hear(conversation, f"Entity{kind}CalculationRequest", text)
    assert json.loads(say.message.text)["success"] is False


def test_garbage_is_complained_about_and_passed_over(conversation):
    """One bad event does not cost the stream."""
    (complaint,) = hear(conversation, PROCESSOR, b"{")
    assert isinstance(complaint, Complain)


def test_a_request_that_cannot_be_read_is_still_answered(conversation):
    """Unanswered, it would hold its caller for hours."""
    text = b'{"requestId":"r","entityId":"e","processorName":"p","parameters":"{"}'
    _, say = hear(conversation, PROCESSOR, text)
    assert isinstance(say, Say)
    assert json.loads(say.message.text)["requestId"] == "r"


def test_patience_follows_the_observed_interval_of_probes(conversation):
    """Three missing probes, 45 seconds at least; before the greeting ten seconds."""
    assert conversation.patience == 10
    greet(conversation)
    assert conversation.patience == 45
    for now in (0.0, 20.0):
        hear(conversation, "CalculationMemberKeepAliveEvent", b'{"id":"m"}', now=now)
    assert conversation.patience == 60
