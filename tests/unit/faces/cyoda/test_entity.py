"""From entity to document and back, without touching what is not ours."""

import json

import pytest

from everyitem.faces.cyoda import processing
from everyitem.faces.cyoda.entity import Entity, EntityStatus, NotAnEntity, Outcome
from everyitem.faces.cyoda.messages import printable

TEXT = (
    b'{"batchId":"b","batchItems":[{"n":1.10}],"processingConfiguration":{"processor":"p",'
    b'"parameters":{"a":1.50},"timeoutHours":2},"strange":{"x":1e400,"y":123456789012345678901234567890}}'
)
OUTCOME = Outcome(status=EntityStatus.COMPLETED, timestamp=None, results={"itemsProcessed": 1}, metadata={})


@pytest.fixture
def entity():
    return Entity(TEXT)


def test_unknown_fields_and_digits_go_back_as_they_came(entity):
    """Everything that is not an output stands there byte for byte."""
    assert entity.with_outcome(OUTCOME).startswith(TEXT[:-1])


def test_outputs_of_an_earlier_execution_do_not_stay(entity):
    """A success after a failure carries no error."""
    error = {"errorCode": "TIMEOUT_ERROR"}
    failed = Outcome(status=EntityStatus.FAILED, timestamp=None, results={}, metadata={}, error=error)
    again = json.loads(Entity(entity.with_outcome(failed)).with_outcome(OUTCOME))
    assert again["executionStatus"] == "COMPLETED"
    assert "executionError" not in again


def test_the_document_has_the_batch_and_nothing_else(entity):
    """What an entity carries besides is no business of a batch; digits of the items are kept."""
    document = entity.document({})
    assert b"strange" not in document
    assert b'[{"n":1.10}]' in document


def test_defaults_stand_below_the_entitys_own_parameters(entity):
    """And own ones keep their digits."""
    document = entity.document({"a": 9, "b": 2})
    assert b'"parameters":{"a":1.50,"b":2}' in document


@pytest.mark.parametrize("configuration", [b"5", b'{"parameters":[]}', b"null"])
def test_a_configuration_that_is_none_is_left_for_the_documents_check(configuration):
    """Which names the problem with its path."""
    entity = Entity(b'{"processingConfiguration":' + configuration + b"}")
    assert configuration in entity.document({"a": 1})


def test_only_inputs_make_the_fingerprint(entity):
    """A comment, white space and the order of keys are no other batch; an item is."""
    fields = json.loads(TEXT.replace(b"1e400", b"1"))
    same = json.dumps(dict(reversed([*fields.items(), ("comment", "new")])), indent=2)
    assert Entity(same.encode()).fingerprint() == entity.fingerprint()
    assert Entity(TEXT.replace(b"1.10", b"1.11")).fingerprint() != entity.fingerprint()


def test_fingerprints_of_numbers_no_double_holds_differ(entity):
    """They are told apart by their text."""
    one, other = (Entity(b'{"batchItems":[1e%d]}' % power) for power in (400, 401))
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("data", [b"", b"[]", b"5", b"{", b'"x"', b"\xff", b"[" * 100_000])
def test_anything_else_is_not_an_entity(data):
    """And nothing but NotAnEntity is raised."""
    with pytest.raises(NotAnEntity):
        Entity(data)


def test_odd_values_read_as_absent():
    """Fields of another type than ours are the document's problem, not a crash here."""
    entity = Entity(b'{"batchId":5,"executionMetadata":[],"processingConfiguration":7,"itemSource":"x"}')
    assert (entity.batch_id, entity.reference, entity.timeout_hours, entity.item_source) == (
        "",
        None,
        None,
        {},
    )


def test_the_fullest_outcome_fits_into_the_room_kept_for_it():
    """What fits before the batch runs comes back after it: the longest lists, of the widest characters."""
    worst = "\x01" * (4 * processing._TEXT)
    said = {
        "errorCode": "EXECUTION_ERROR",
        "errorMessage": worst,
        "details": {kind: [worst] * 1001 for kind in ("systemErrors", "dataErrors", "timeoutErrors", "x")},
    }
    text = printable(worst, processing._TEXT)
    failed = {"itemId": text, "errorCode": "TIMEOUT_ERROR", "message": text, "attempts": 10_000}
    outcome = Outcome(
        status=EntityStatus.FAILED,
        timestamp=None,
        results={},
        metadata={},
        failed_items=[failed] * processing._LISTED,
        error=processing._error(said),
    )
    assert len(Entity(b"{}").with_outcome(outcome)) < processing.RESULT_ROOM - (16 << 10)
