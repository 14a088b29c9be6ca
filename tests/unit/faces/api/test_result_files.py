"""Results as JSON lines and CSV."""

import csv
import io
import json

import msgspec
import pytest

from everyitem.faces.api.result_files import CSV_COLUMNS, neutral, result_parts
from everyitem.faces.api.views import ItemError, ItemResult


def succeeded(item_id="t-1", result=b'{"v":1.50}'):
    return ItemResult(
        item_id=item_id,
        index=0,
        status="SUCCEEDED",
        attempts=1,
        result_json=msgspec.Raw(result),
        duration_ms=0.5,
    )


def failed(message="boom", item_id="t-2"):
    return ItemResult(
        item_id=item_id,
        index=1,
        status="FAILED",
        attempts=4,
        error=ItemError(code="ITEM_ERROR", type="ValueError", message=message),
        duration_ms=2.0,
    )


def rows(*results):
    return list(csv.reader(io.StringIO(b"".join(result_parts(results, "csv")).decode(), newline="")))


def test_lines_have_the_contracts_shape():
    """Keys in the contract's order; result or error, never both; digits as recorded."""
    lines = b"".join(result_parts([succeeded(), failed()], "jsonl")).splitlines()
    assert lines[0] == (
        b'{"itemId":"t-1","index":0,"status":"SUCCEEDED","attempts":1,"result":{"v":1.50},"durationMs":0.5}'
    )
    assert json.loads(lines[1]) == {
        "itemId": "t-2",
        "index": 1,
        "status": "FAILED",
        "attempts": 4,
        "error": {"code": "ITEM_ERROR", "type": "ValueError", "message": "boom"},
        "durationMs": 2.0,
    }


def test_csv_has_a_row_per_item():
    """A heading, then one row each; the result as JSON text."""
    assert rows(succeeded(), failed()) == [
        list(CSV_COLUMNS),
        ["t-1", "0", "SUCCEEDED", "1", "0.5", '{"v":1.50}', "", "", ""],
        ["t-2", "1", "FAILED", "4", "2.0", "", "ITEM_ERROR", "ValueError", "boom"],
    ]


def test_a_null_result_is_not_a_missing_one():
    """An item that returned None has the result null."""
    assert rows(succeeded(result=b"null"))[1][5] == "null"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_neutralised(cell):
    """What a spreadsheet would run gets an apostrophe in front."""
    assert neutral(cell) == f"'{cell}"
    assert rows(failed(message=cell))[1][8] == f"'{cell}"
    assert rows(failed(item_id=cell))[1][0] == f"'{cell}"


def test_no_results_make_a_heading_only():
    """An empty batch is still a table."""
    assert rows() == [list(CSV_COLUMNS)]
