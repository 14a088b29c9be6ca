"""Responses: the specification's shape and figures, exactly."""

import json

import msgspec
import pytest

from everyitem.model.checks import ExecutionFacts
from everyitem.model.errors import ErrorCode, Problem
from everyitem.model.response import (
    ExecutionFailure,
    consolidate,
    list_problems,
    parse_response,
    processing_time,
    refuse,
    rfc3339,
    success_rate,
)

#: The specification's own example (section 3).
EXAMPLE = ExecutionFacts(
    items=10_000,
    succeeded=9_950,
    failed=50,
    retried=120,
    steals=7,
    active_ms=7_200_000,
    busy_us=36_000_000_000,
    checkpoints=20,
    segments=20,
    runs=1,
    slots=5,
    parallelism=5,
    recounted_succeeded=9_950,
    recounted_failed=50,
    accepted_digest="d" * 64,
    executed_digest="d" * 64,
)
ENDED = 1705356000.0


def changed(**facts):
    """The example with some facts changed."""
    return msgspec.structs.replace(EXAMPLE, **facts)


def test_the_specification_s_example_comes_out_as_printed_there():
    """Keys, order and figures of section 3."""
    printed = consolidate(EXAMPLE, ended_at=ENDED).to_dict()
    assert list(printed) == ["status", "result"]
    assert printed["status"] == "SUCCESS"
    result = printed["result"]
    assert list(result) == ["processedEntity", "processingTimestamp", "executionResults", "executionMetadata"]
    assert result["processedEntity"] == "ProcessingBatch"
    assert result["processingTimestamp"] == "2024-01-15T22:00:00Z"
    assert result["executionResults"] == {
        "batchCompleted": True,
        "itemsProcessed": 10_000,
        "itemsSuccessful": 9_950,
        "itemsFailed": 50,
        "successRate": 0.995,
    }
    metadata = result["executionMetadata"]
    assert list(metadata)[:4] == [
        "executionDuration",
        "averageItemTime",
        "parallelismAchieved",
        "checkpointsCreated",
    ]
    assert [metadata[key] for key in list(metadata)[:4]] == [7_200_000, 720, 5, 20]
    assert list(metadata)[4:] == [
        "runs",
        "itemsRetried",
        "steals",
        "itemProcessingTime",
        "controlTotals",
        "toleranceExceeded",
        "checks",
        "availability",
    ]


def test_an_error_has_the_specification_s_shape():
    """status, errorCode, errorMessage, details with four lists; results stand beside."""
    failure = ExecutionFailure(code=ErrorCode.TIMEOUT_ERROR, message="Batch execution timeout exceeded")
    printed = consolidate(changed(succeeded=10), ended_at=ENDED, failure=failure).to_dict()
    assert list(printed) == [
        "status",
        "errorCode",
        "errorMessage",
        "details",
        "executionResults",
        "executionMetadata",
    ]
    assert (printed["status"], printed["errorCode"]) == ("ERROR", "TIMEOUT_ERROR")
    assert printed["details"] == {
        "systemErrors": [],
        "resourceErrors": [],
        "dataErrors": [],
        "timeoutErrors": ["Batch execution timeout exceeded"],
    }
    assert printed["executionResults"]["batchCompleted"] is False


def test_a_refusal_has_no_results():
    """Before execution began there are only details, all four lists of them."""
    printed = refuse(
        ErrorCode.ITEM_ERROR, "refused", [Problem("$.a", "wrong", ErrorCode.ITEM_ERROR)]
    ).to_dict()
    assert list(printed) == ["status", "errorCode", "errorMessage", "details"]
    assert printed["details"]["dataErrors"] == ["$.a: wrong"]
    assert list(printed["details"]) == ["systemErrors", "resourceErrors", "dataErrors", "timeoutErrors"]


@pytest.mark.parametrize(
    ("code", "where"),
    [
        (ErrorCode.EXECUTION_ERROR, "data_errors"),
        (ErrorCode.ITEM_ERROR, "data_errors"),
        (ErrorCode.RESOURCE_ERROR, "resource_errors"),
        (ErrorCode.SYSTEM_ERROR, "system_errors"),
        (ErrorCode.TIMEOUT_ERROR, "timeout_errors"),
    ],
)
def test_each_problem_goes_to_the_list_of_its_kind(code, where):
    """Envelope and item problems are data errors, the rest have lists of their own."""
    assert getattr(list_problems([Problem("p", "m", code)]), where) == ["p: m"]


def test_beyond_a_thousand_problems_are_counted():
    """1,000 texts, then `and N more`."""
    texts = list_problems([Problem(f"$.batchItems[{k}]", "wrong") for k in range(2500)]).data_errors
    assert len(texts) == 1001
    assert texts[-2:] == ["$.batchItems[999]: wrong", "and 1500 more"]
    assert len(list_problems([Problem("p", "m")] * 1000).data_errors) == 1000


@pytest.mark.parametrize(
    ("succeeded", "failed", "items", "rate"),
    [
        (0, 0, 0, 1.0),
        (0, 0, 5, 0.0),
        (5, 0, 5, 1.0),
        (2, 1, 3, 0.666667),
        (9_999_999, 1, 10_000_000, 0.999999),
        (99_999_999, 1, 100_000_000, 0.999999),
        (0, 5, 5, 0.0),
    ],
)
def test_the_success_rate_is_never_rounded_up_to_one(succeeded, failed, items, rate):
    """Six decimals; 1 only without failures; an empty batch has 1."""
    assert success_rate(succeeded, failed, items=items) == rate


def test_an_empty_batch_is_a_success_with_zero_averages():
    """0 items, rate 1.0, averages 0."""
    facts = changed(
        items=0, succeeded=0, failed=0, recounted_succeeded=0, recounted_failed=0, active_ms=0, busy_us=0
    )
    printed = consolidate(facts, ended_at=ENDED).to_dict()
    assert printed["status"] == "SUCCESS"
    assert printed["result"]["executionResults"]["successRate"] == 1.0
    metadata = printed["result"]["executionMetadata"]
    assert (metadata["averageItemTime"], metadata["parallelismAchieved"]) == (0, 0)


def test_averages_have_three_and_two_decimals():
    """averageItemTime: 3 decimals, parallelismAchieved: 2."""
    facts = changed(active_ms=10_001, busy_us=33_337_777)
    metadata = consolidate(facts, ended_at=ENDED).to_dict()["result"]["executionMetadata"]
    assert (metadata["averageItemTime"], metadata["parallelismAchieved"]) == (1.0, 3.33)


def test_percentiles_are_the_nearest_rank():
    """A percentile is a duration that occurred, in milliseconds."""
    times = processing_time([1000 * k for k in range(1, 101)])
    assert (times.p50, times.p95, times.p99, times.max) == (50, 95, 99, 100)
    assert processing_time([1500]) == processing_time([1500, 1500])
    assert processing_time([]).max == 0


@pytest.mark.parametrize(("tolerated", "exceeded"), [(None, False), (50, False), (49, True), (0, True)])
def test_more_failures_than_tolerated_show(tolerated, exceeded):
    """`toleranceExceeded` compares final failures with a given tolerance."""
    printed = consolidate(changed(tolerated=tolerated), ended_at=ENDED).to_dict()
    assert printed["result"]["executionMetadata"]["toleranceExceeded"] is exceeded


@pytest.mark.parametrize(
    ("moment", "text"),
    [(0.0, "1970-01-01T00:00:00Z"), (ENDED, "2024-01-15T22:00:00Z"), (1.25, "1970-01-01T00:00:01.250Z")],
)
def test_timestamps_are_rfc_3339_with_z(moment, text):
    """UTC, `Z`, milliseconds where there are any."""
    assert rfc3339(moment) == text


@pytest.mark.parametrize(
    "response",
    [
        consolidate(EXAMPLE, ended_at=ENDED),
        consolidate(changed(segments=19), ended_at=ENDED),
        refuse(ErrorCode.ITEM_ERROR, "x", []),
    ],
)
def test_a_recorded_response_reads_back(response):
    """What was printed is what is read again."""
    assert parse_response(response.to_json()) == response
    assert json.loads(response.to_json()) == response.to_dict()


def test_texts_that_cannot_be_encoded_are_made_printable():
    """A lone surrogate in a message (a file name, an exception) does not spoil the response."""
    response = refuse(ErrorCode.SYSTEM_ERROR, "bad \ud800", [Problem("\udcff", "x", ErrorCode.SYSTEM_ERROR)])
    assert response.to_dict()["errorMessage"] == "bad ?"
    assert json.loads(response.to_json())["details"]["systemErrors"] == ["?: x"]
