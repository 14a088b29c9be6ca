"""Refusals: which code a set of problems gets."""

import pytest

from everyitem.model.errors import DocumentRefused, ErrorCode, Problem

E, R, S, ITEM = (
    ErrorCode.EXECUTION_ERROR,
    ErrorCode.RESOURCE_ERROR,
    ErrorCode.SYSTEM_ERROR,
    ErrorCode.ITEM_ERROR,
)


@pytest.mark.parametrize(
    ("codes", "refusal"),
    [([ITEM], ITEM), ([ITEM, R], R), ([R, E], E), ([ITEM, ITEM, E], E), ([S, ITEM], S), ([R], R)],
)
def test_the_envelope_wins_over_resources_and_those_over_items(codes, refusal):
    """Only item problems make an ITEM_ERROR."""
    assert DocumentRefused([Problem("p", "m", code) for code in codes]).refusal_code is refusal


def test_a_problem_reads_path_and_message():
    """`path: message`, or the message alone."""
    assert str(Problem("$.a", "wrong")) == "$.a: wrong"
    assert str(Problem("", "wrong")) == "wrong"
