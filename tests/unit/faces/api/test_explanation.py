"""Finding items by id, and what state an item's history leaves it in."""

import msgspec
import pytest
from msgspec.structs import replace

from everyitem.faces.api.explanation import _attempt, _status, find_index, find_indices
from everyitem.model.errors import ErrorCode
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import UNREACHABLE, Failure
from everyitem.ports.outcome import HistoryEntry


def items(*values, named=True):
    return InMemoryItems(msgspec.json.encode(list(values)), named=named)


def entry(round_, attempt, *, succeeded=False, final=True):
    return HistoryEntry(
        round=round_,
        attempt=attempt,
        succeeded=succeeded,
        final=final,
        duration_ms=1.0,
        checkpoint=1,
        recorded_at=0.0,
    )


def test_unnamed_items_go_by_their_position():
    """The id of the item at 2 is "2"; "02" and 3 are nobody's."""
    batch = items("a", "b", "c", named=False)
    assert find_index(batch, "2") == 2
    assert find_index(batch, "02") is None
    assert find_index(batch, "3") is None


def test_named_items_go_by_their_id():
    """An item with an id of its own has no position id."""
    batch = items({"itemId": "t-1"}, 5, {"itemId": 'ä/"x'})
    assert find_indices(batch, ["t-1", "1", 'ä/"x', "0", "none"]) == {"t-1": 0, "1": 1, 'ä/"x': 2}


@pytest.mark.parametrize("spelling", [b'"\\u0074-1"', b'"t\\u002d1"'])
def test_escapes_spell_the_same_id(spelling):
    """JSON may write a character in several ways."""
    assert find_index(InMemoryItems(b'[{"itemId":' + spelling + b"}]", named=True), "t-1") == 0


@pytest.mark.parametrize(
    ("history", "round_", "status"),
    [
        ([], 1, "OPEN"),
        ([entry(1, 1, final=False)], 1, "OPEN"),
        ([entry(1, 1)], 1, "FAILED"),
        ([entry(1, 1)], 2, "FAILED"),
        ([entry(1, 1), entry(2, 1, final=False)], 2, "OPEN"),
        ([entry(1, 1), entry(2, 1, succeeded=True)], 2, "SUCCEEDED"),
    ],
)
def test_the_latest_round_counts(history, round_, status):
    """A failed item that was not redriven stays failed; one being redriven is open."""
    assert _status(history, round_) == status


@pytest.mark.parametrize(
    ("how", "told"),
    [({}, msgspec.UNSET), ({"excused": True}, "outage"), ({"retry_after": 2.0}, "retry-later")],
    ids=["counts", "outage", "RetryLater"],
)
def test_an_attempt_that_used_up_no_retry_says_why(how, told):
    """Else a number that comes twice in a history would be a riddle."""
    failure = Failure(0, 1, ErrorCode.ITEM_ERROR, "ConnectionError", "away", **how)
    assert _attempt(replace(entry(1, 1, final=False), failure=failure)).excused == told


def test_an_attempt_tells_what_its_failure_is_alike_to():
    """The class alone does not say that it was taken for the same outage as others."""
    failure = Failure(0, 1, ErrorCode.ITEM_ERROR, "PriceMissing", "away", excused=True, family=UNREACHABLE)
    assert _attempt(replace(entry(1, 1, final=False), failure=failure)).family == "unreachable"
    plain = Failure(0, 1, ErrorCode.ITEM_ERROR, "PriceMissing", "away")
    assert _attempt(replace(entry(1, 1), failure=plain)).family is msgspec.UNSET
    assert _attempt(entry(1, 1, succeeded=True)).family is msgspec.UNSET
