"""`explain` for people."""

from typing import Any

import pytest

from everyitem.faces.api.explanation import Attempt
from everyitem.faces.api.views import ItemError
from everyitem.faces.cli.explain import _attempt


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"excused": "outage"}, "FAILED, excused (an outage), to be tried again"),
        ({"excused": "outage", "family": "unreachable"}, "FAILED, excused (an outage: unreachable), to be"),
        ({"excused": "retry-later"}, "excused (RetryLater)"),
    ],
)
def test_an_attempt_that_used_up_no_retry_says_why(more: Any, said: str) -> None:
    """The next one has the same number, and a person wonders."""
    attempt = Attempt(
        round=1,
        attempt=1,
        status="FAILED",
        final=False,
        duration_ms=1.0,
        checkpoint=1,
        recorded_at=None,
        **more,
    )
    assert said in next(_attempt(attempt))


def test_what_led_to_a_failure_stands_below_it() -> None:
    """A wrapped exception says little without the one it wraps."""
    attempt = Attempt(
        round=1,
        attempt=1,
        status="FAILED",
        final=True,
        duration_ms=1.0,
        checkpoint=1,
        recorded_at=None,
        error=ItemError(code="ITEM_ERROR", type="NoRate", message="GBP"),
        causes=("ConnectionError: refused at rates.py, line 7",),
    )
    assert list(_attempt(attempt))[-2:] == [
        "  ITEM_ERROR NoRate: GBP",
        "    from ConnectionError: refused at rates.py, line 7",
    ]
