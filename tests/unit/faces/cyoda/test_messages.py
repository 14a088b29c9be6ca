"""The JSON texts on the stream: what is read, what is written, byte for byte."""

import json

import msgspec
import pytest

from everyitem.faces.cyoda import messages
from everyitem.faces.cyoda.messages import Kind, Request, Unreadable

ASKED = {"requestId": "r", "entityId": "e", "processorName": "executeBatchProcessing"}
PROCESSOR = Kind.PROCESSOR.request


def read(**content):
    return messages.read_request(PROCESSOR, json.dumps({**ASKED, **content}).encode())


def test_the_entity_of_a_request_is_its_text_to_the_digit():
    """Numbers no double can hold come through as they were written."""
    text = b'{"requestId":"r","entityId":"e","processorName":"p","payload":{"data":{"a": 1.10, "b":1e400}}}'
    assert messages.read_request(PROCESSOR, text).data == b'{"a": 1.10, "b":1e400}'


@pytest.mark.parametrize("payload", [None, {}, {"data": None}, {"type": "JSON"}])
def test_an_entity_that_is_not_attached_is_none(payload):
    """A payload without data is no entity; nor is null."""
    assert read(payload=payload).data is None


@pytest.mark.parametrize("given", ['{"deadlineMs":5}', {"deadlineMs": 5}])
def test_the_context_may_be_a_text_or_an_object(given):
    """One platform sends it as JSON text, another as an object."""
    assert read(parameters=given).parameters == {"deadlineMs": 5}


@pytest.mark.parametrize("given", [None, "", "5", [], 5])
def test_a_context_that_is_no_object_says_nothing(given):
    """Nothing is guessed into it."""
    assert read(parameters=given).parameters == {}


def test_a_request_that_cannot_be_read_names_whom_to_answer():
    """As long as there is a requestId, silence is not the answer."""
    with pytest.raises(Unreadable) as caught:
        read(parameters="{not json")
    assert caught.value.request is not None
    assert caught.value.request.request_id == "r"


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"entityId":"e"}', b"[" * 100_000])
def test_garbage_is_unreadable_and_nothing_else(text):
    """No input raises anything but Unreadable."""
    with pytest.raises(Unreadable) as caught:
        messages.read_request(PROCESSOR, text)
    assert caught.value.request is None


def test_success_is_always_said_and_the_entity_goes_back_as_text():
    """A missing `success` counts as failure on the platform."""
    request = Request(kind=Kind.PROCESSOR, request_id="r", entity_id="e", name="p")
    message = messages.succeed(request, b'{"a":1.10}', ["w"])
    assert message.type == "EntityProcessorCalculationResponse"
    assert b'"data":{"a":1.10}' in message.text
    assert msgspec.json.decode(message.text)["success"] is True


@pytest.mark.parametrize("kind", list(Kind))
def test_what_nobody_calculates_is_refused(kind):
    """Processors, criteria and functions each get their own kind of answer."""
    request = Request(kind=kind, request_id="r", entity_id="e", name="x")
    message = messages.refuse_unknown(request)
    said = json.loads(message.text)
    assert message.type == f"Entity{kind}CalculationResponse"
    assert (said["success"], said["requestId"], said["error"]["retryable"]) == (False, "r", False)


def test_a_failure_is_short_and_can_be_encoded():
    """Its text reaches the caller; lone surrogates would break the whole message."""
    request = Request(kind=Kind.PROCESSOR, request_id="r", entity_id="e", name="p")
    said = json.loads(messages.fail(request, "C", "\ud800" + "x" * 5000, retryable=True).text)
    assert said["error"]["message"].startswith("?x")
    assert len(said["error"]["message"]) == 1000


def test_a_probe_is_acknowledged_by_its_payload_id():
    """The envelope's id is another one."""
    message = messages.acknowledge(b'{"id":"m","memberId":"m","success":true}')
    said = json.loads(message.text)
    assert (message.type, said["sourceEventId"], said["success"]) == ("EventAckResponse", "m", True)
