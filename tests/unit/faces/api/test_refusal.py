"""What a batch that cannot be executed is answered with."""

import json

import pytest

from everyitem.faces.api.refusal import refusal
from everyitem.model.errors import DocumentRefused, ErrorCode, Problem, UnknownProcessor


@pytest.mark.parametrize(("count", "listed"), [(2, "all"), (1000, "all"), (1001, "the first 1,000")])
def test_the_message_says_how_many_problems_details_list(count, listed):
    """Details list up to 1,000 problems and count the rest; the message promises no more than that."""
    problems = [Problem(f"$.batchItems[{k}]", "wrong", ErrorCode.ITEM_ERROR) for k in range(count)]
    response = json.loads(refusal(DocumentRefused(problems)).to_json())
    assert response["errorMessage"] == (
        f"The batch document was refused: {count:,} problems, {listed} in details"
    )
    texts = response["details"]["dataErrors"]
    assert len([text for text in texts if text.endswith(": wrong")]) == min(count, 1000)
    assert texts[1000:] == [f"and {count - 1000} more"] * (count > 1000)


def test_one_problem_is_the_message():
    """Nobody has to look into details for a single problem."""
    response = json.loads(refusal(DocumentRefused([Problem("$.batchId", "is required")])).to_json())
    assert response["errorMessage"] == "The batch document was refused: $.batchId: is required"


def test_an_unknown_processor_stands_at_its_path():
    """Also where it is found out only after the document was read."""
    response = json.loads(refusal(UnknownProcessor("no item processor 'p'")).to_json())
    assert response["errorCode"] == "EXECUTION_ERROR"
    assert response["details"]["dataErrors"] == ["$.processingConfiguration.processor: no item processor 'p'"]
