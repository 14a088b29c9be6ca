"""What is said when an execution has ended, or never began."""

import json

import pytest

from everyitem.faces.api.refusal import refusal
from everyitem.faces.api.response import Response
from everyitem.faces.cli.display.summary import suggestion, summary_lines
from everyitem.model.errors import DocumentRefused, Problem


def test_an_only_problem_is_told_once() -> None:
    """The headline has it."""
    said = summary_lines(refusal(DocumentRefused([Problem("$.batchId", "is required")])), [])
    assert said == ["batch: EXECUTION_ERROR: The batch document was refused: $.batchId: is required"]


def test_several_problems_are_listed() -> None:
    """Each with its place."""
    problems = [Problem("$.batchId", "is required"), Problem("$.batchItems", "must be an array")]
    said = summary_lines(refusal(DocumentRefused(problems)), [])
    assert said[1:] == ["  $.batchId: is required", "  $.batchItems: must be an array"]


@pytest.mark.parametrize(
    ("processed", "figures"), [(1, "  1 item, 1 succeeded"), (2, "  2 items, 2 succeeded")]
)
def test_one_item_is_an_item(processed: int, figures: str) -> None:
    """Numbers and nouns agree."""
    results = {"itemsProcessed": processed, "itemsSuccessful": processed, "itemsFailed": 0}
    answer = {"status": "SUCCESS", "result": {"executionResults": results, "executionMetadata": {}}}
    response = Response(json.dumps(answer).encode(), store_url="sqlite:///s.db", batch_id="b", execution=1)
    assert summary_lines(response, [])[1] == figures


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ({"fresh": True}, "b: SUCCESS, every item succeeded"),
        ({"attached": True}, "b: SUCCESS, every item succeeded  (carried out elsewhere)"),
        ({}, "b: SUCCESS, every item succeeded  (recorded before; nothing ran now)"),
    ],
)
def test_it_says_who_has_carried_the_batch_out(who: dict[str, bool], said: str) -> None:
    """This command, another process it has waited for, or one that was at it before."""
    answer = {"status": "SUCCESS", "result": {"executionResults": {}, "executionMetadata": {}}}
    response = Response(json.dumps(answer).encode(), batch_id="b", execution=1, **who)
    assert summary_lines(response, [])[0] == said


def test_a_suggested_command_works_as_printed():
    """Whatever the batch is called: with spaces, or like an option."""
    assert suggestion("resume", "a b", options=" --store s") == "everyitem resume 'a b' --store s"
    assert (
        suggestion("explain", "-x", "ITEM_ID", options=" --store s")
        == "everyitem explain --store s -- -x ITEM_ID"
    )
