"""Trace contexts as texts."""

import pytest

from everyitem.model.trace import is_traceparent, trace_id_of

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_traceparent_is_recognised_and_has_the_id_of_its_trace():
    """As in the specification's example."""
    assert is_traceparent(GOOD)
    assert trace_id_of(GOOD) == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "\n",
        GOOD.upper(),
        "ff" + GOOD[2:],
        "00-" + 32 * "0" + GOOD[35:],
        GOOD[:36] + 16 * "0" + "-01",
    ],
)
def test_what_is_no_traceparent_is_not_handed_on(text):
    """Wrong lengths, capitals, the forbidden version, ids of zeros only."""
    assert not is_traceparent(text)
