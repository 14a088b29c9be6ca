"""Which failed items a redrive runs again."""

import math

import pytest

from everyitem.faces.api.redriving import correction_texts, read_corrections, select_failed
from everyitem.model.errors import UsageError
from everyitem.model.items import InMemoryItems
from everyitem.ports.outcome import FailedItem

ITEMS = InMemoryItems(b'[{"itemId":"t-0"},{"itemId":"t-1"},{"itemId":"t-2"}]', named=True)


class Store:
    """Two failed items of three, as a store lists them."""

    def failures(self, execution_key, *, with_items=False):
        yield FailedItem(1, "t-1", 4, "ITEM_ERROR", "ValueError", "No Rate", 1.0)
        yield FailedItem(2, "t-2", 4, "TIMEOUT_ERROR", "ItemTimeout", "too long", 1.0)

    def items(self, execution_key):
        return ITEMS


class Record:
    execution_key = 1
    batch_id = "b"


def select(**wishes):
    return select_failed(Store(), Record(), **wishes)


def test_all_failed_items_by_default():
    """Nothing narrows it."""
    assert select().indices == (1, 2)


@pytest.mark.parametrize(
    ("error", "indices"), [("no rate", (1,)), ("TIMEOUT", (2,)), ("valueerror: no", (1,)), ("x", ())]
)
def test_an_error_text_narrows(error, indices):
    """It is looked for in code, type and message, in any case."""
    assert select(error=error).indices == indices


def test_ids_narrow():
    """Only the items asked for; one that has not failed is passed over and named."""
    selection = select(item_ids=["t-2", "t-0"])
    assert selection.indices == (2,)
    assert selection.passed_over == ("t-0",)


def test_corrections_narrow_and_replace():
    """Items with a corrected payload run with it."""
    selection = select(corrected={"t-1": b'{"itemId":"t-1","rate":1}'})
    assert selection.indices == (1,)
    assert selection.corrections == {1: b'{"itemId":"t-1","rate":1}'}


def test_an_unknown_id_is_refused():
    """Nothing is redriven when an id is nobody's."""
    with pytest.raises(UsageError, match="has no item 't-9'"):
        select(item_ids=["t-1", "t-9"])


def test_corrections_are_read_line_by_line(tmp_path):
    """White space goes, digits stay, empty lines are skipped."""
    file = tmp_path / "c.jsonl"
    file.write_bytes(b'{"itemId": "t-1", "rate": 1.10}\n\n{"itemId": "t-2"}\r\n')
    assert read_corrections(file, ITEMS) == {
        "t-1": b'{"itemId":"t-1","rate":1.10}',
        "t-2": b'{"itemId":"t-2"}',
    }


@pytest.mark.parametrize(
    "line", [b"{", b"[1]", b'{"itemId": 3}', b'{"itemId": ""}', b'"t-1"', b'{"itemId":"a"} x']
)
def test_a_bad_line_is_named(tmp_path, line):
    """File and line stand in the message."""
    file = tmp_path / "c.jsonl"
    file.write_bytes(b'{"itemId":"t-1"}\n' + line + b"\n")
    with pytest.raises(UsageError, match=r"c\.jsonl:2: "):
        read_corrections(file, ITEMS)


def test_a_repeated_id_is_refused(tmp_path):
    """One item has one payload."""
    file = tmp_path / "c.jsonl"
    file.write_bytes(b'{"itemId":"a"}\n{"itemId":"a"}\n')
    with pytest.raises(UsageError, match="occurs twice"):
        read_corrections(file, ITEMS)


def test_all_faults_of_a_corrections_file_are_named_together(tmp_path):
    """Bad lines and ids the batch does not have, in the order of the file."""
    file = tmp_path / "c.jsonl"
    file.write_bytes(b'{"itemId":"t-9"}\n{\n{"itemId":"t-1"}\n{"itemId":"t-8"}\n')
    with pytest.raises(UsageError) as refused:
        read_corrections(file, ITEMS)
    assert [part.split(":")[1] for part in str(refused.value).split("; ")[:3]] == ["1", "2", "4"]
    assert "has no item 't-9'" in str(refused.value)
    assert "nothing was redriven" in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    """By name."""
    with pytest.raises(UsageError, match="none"):
        read_corrections(tmp_path / "none.jsonl", ITEMS)


@pytest.mark.parametrize("item", [math.nan, {1, 2}, {1: 2}, (1,)])
def test_values_must_be_json(item):
    """What JSON cannot say exactly is refused, not bent."""
    with pytest.raises(UsageError, match="'t-1' is not JSON"):
        correction_texts({"t-1": {"itemId": "t-1", "x": item}})
